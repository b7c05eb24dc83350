PYTHON ?= python3
COMPARED := finetune xvl_maml auxiliary_finetune xvl_maml_inner_lr_0
RECIPES := $(COMPARED:%=recipes/mini/xvnli/%.yaml)
SEEDS := 0,1,2,3,4
EXTRAS :=

LMMS_EVAL := lmms-eval==0.7.3
LMMS_EVAL_NEEDS := evaluate loguru pytablewriter pytz sacrebleu tenacity
LMMS_EVAL_PIP = $(@D)/bin/python -m pip

.PHONY: demo test lint docs test-lmms-eval

demo: .venv-demo/installed
	.venv-demo/bin/iglue compare $(RECIPES) --seeds $(SEEDS) --jobs 2 --output comparison
	.venv-demo/bin/iglue report $(RECIPES) --seeds $(SEEDS) --output report

test: .venv-test/installed
	.venv-test/bin/python -m pytest --numprocesses 2 --dist loadfile

lint: .venv-test/installed
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/mypy

docs: .venv-test/installed
	.venv-test/bin/zensical build --clean --strict

test-lmms-eval: .venv-lmms-eval/installed
	@if [ -e $< ]; then .venv-lmms-eval/bin/python -m pytest tests/integrations/lmms_eval/test_command_line.py; \
	else echo "test-lmms-eval: SKIPPED, $(LMMS_EVAL) cannot be downloaded; is the package index within reach?"; fi

# An environment of its own on top of the packages of .venv-test, which stays as it is. lmms-eval itself requires CUDA's
# torchvision, wandb and forty more; what it needs for tasks without video or metrics of their own is in
# LMMS_EVAL_NEEDS. Where a pin of constraints.txt does not fit, constraints-lmms-eval.txt has another.
.venv-lmms-eval/installed: constraints-lmms-eval.txt .venv-test/installed
	rm -rf $(@D)
	.venv-test/bin/python -m venv --without-pip $(@D)
	SITE='import sysconfig; print(sysconfig.get_path("purelib"))'; SHARED=$$(.venv-test/bin/python -c "$$SITE"); \
	echo "import site; site.addsitedir('$$SHARED')" > "$$($(@D)/bin/python -c "$$SITE")/test.pth"
	awk -F== '!seen[$$1]++' constraints-lmms-eval.txt constraints.txt > $(@D)/constraints.txt
	@if $(LMMS_EVAL_PIP) download --quiet --timeout 15 --retries 1 --no-deps --dest $(@D) $(LMMS_EVAL); then \
	$(LMMS_EVAL_PIP) install --quiet --no-build-isolation --constraint $(@D)/constraints.txt \
	--editable . $(LMMS_EVAL_NEEDS) && \
	$(LMMS_EVAL_PIP) install --quiet --no-deps $(@D)/lmms_eval-*.whl && touch $@ || \
	{ echo "$(@D): NOT FINISHED, for the reason that pip gives above; the next call makes it anew" >&2; exit 1; }; fi

.venv-test/installed: EXTRAS := [dev]

# pip would compile what it installs in one process, for a third of the time; what cannot be compiled is for a later Python.
.venv-%/installed: setup.cfg constraints.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.$(EXTRAS)'
	$(@D)/bin/python -m compileall -q -j 2 $(@D)/lib > $(@D)/not-compiled.txt || true
	touch $@
