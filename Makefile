PYTHON ?= python3
COMPARED := finetune xvl_maml auxiliary_finetune xvl_maml_inner_lr_0
EXTRAS :=

.PHONY: demo test

demo: .venv-demo/installed
	.venv-demo/bin/iglue compare $(COMPARED:%=recipes/mini/xvnli/%.yaml) --seeds 0,1,2,3,4 --jobs 2 --output comparison

test: .venv-test/installed
	.venv-test/bin/python -m pytest

.venv-test/installed: EXTRAS := [test]

.venv-%/installed: setup.cfg constraints.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.$(EXTRAS)'
	touch $@
