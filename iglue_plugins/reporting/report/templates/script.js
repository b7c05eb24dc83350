"use strict";
/* The example browser. The data of a task is {task, rows, seed, seeds, ranks, labels, images, examples}. An image is
   [id, URI or null]; an example is [language, id, text or null, label, images, answers], in which labels and images are
   numbers. An answer is [label, [[label, probability], ...] or null, right seeds], or of a ranking
   [images, similarities or null, [rank or null, number of ranked images, similarity], right seeds]. All text of the data
   becomes text nodes, never markup. */
(() => {
  const PAGE = 50;
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const fill = (select, options, kept) => {
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    if (options.some(([value]) => String(value) === kept)) select.value = kept;
  };
  const names = typeof Intl.DisplayNames === "function" ? new Intl.DisplayNames(["en"], { type: "language" }) : null;
  const languageName = (code) => {
    try {
      const name = names && names.of(data.languages[code][0]);
      return name && name !== code ? `${code}, ${name}` : code;
    } catch {
      return code;
    }
  };
  const setLanguage = (element, code) => {
    const [tag, direction] = data.languages[code];
    element.lang = tag;
    element.dir = direction;
    return element;
  };
  const first = (answer, task) => (task.ranks ? answer[0][0] : answer[0]);
  const isRight = (example, row, task) => first(example[5][row], task) === example[3];

  let task, matching = [], position = 0;

  function showTask() {
    task = data.tasks[Number(at("task").value)];
    const languages = [...new Set(task.examples.map((example) => example[0]))];
    fill(at("language"), [["", `all ${languages.length}`], ...languages.map((code) => [code, languageName(code)])], at("language").value);
    const labels = [...new Set(task.examples.map((example) => example[3]))].sort((a, b) => a - b);
    at("label-filter").hidden = task.ranks;
    fill(at("label"), [["", "all"], ...(task.ranks ? [] : labels.map((label) => [label, task.labels[label]]))]);
    const rows = task.rows.map((name, row) => [row, name]);
    fill(at("row-a"), rows, "0");
    fill(at("row-b"), rows, "1");
    filter();
  }

  function chooseRow(changed, other) {
    if (at(changed).value === at(other).value) at(other).value = String((Number(at(changed).value) + 1) % task.rows.length);
    filter();
  }

  function filter() {
    const [a, b] = [Number(at("row-a").value), Number(at("row-b").value)];
    const language = at("language").value, label = at("label").value;
    const who = (example) => (isRight(example, a, task) ? "a" : isRight(example, b, task) ? "b" : "none");
    const found = { any: [], a: [], b: [], none: [] };
    for (const example of task.examples) {
      if (language && example[0] !== language) continue;
      if (label && example[3] !== Number(label)) continue;
      if (first(example[5][a], task) === first(example[5][b], task)) continue;
      found.any.push(example);
      found[who(example)].push(example);
    }
    for (const input of document.querySelectorAll('input[name="who"]')) {
      const [name, count] = input.parentElement.querySelectorAll("span, output");
      count.textContent = found[input.value].length;
      if (input.value === "a") name.textContent = `only ${task.rows[a]} is right`;
      if (input.value === "b") name.textContent = `only ${task.rows[b]} is right`;
    }
    matching = found[document.querySelector('input[name="who"]:checked').value];
    position = 0;
    show();
  }

  function show() {
    const page = Math.floor(position / PAGE) * PAGE;
    at("list").replaceChildren(...matching.slice(page, page + PAGE).map((example, index) => listItem(example, page + index)));
    at("list").setAttribute("aria-activedescendant", matching.length ? `example-${position}` : "");
    const selected = at(`example-${position}`);
    if (selected) {
      const list = at("list"), top = selected.offsetTop - list.offsetTop;
      if (top < list.scrollTop) list.scrollTop = top;
      if (top + selected.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + selected.offsetHeight - list.clientHeight;
    }
    at("position").textContent = matching.length ? `${position + 1} of ${matching.length}` : "no such example";
    at("previous").setAttribute("aria-disabled", String(position === 0));
    at("next").setAttribute("aria-disabled", String(position >= matching.length - 1));
    at("card").replaceChildren(...(matching.length ? card(matching[position]) : []));
  }

  function mark(right) {
    const element = make("span", right ? "yes" : "no", right ? "✓" : "✗");
    element.setAttribute("aria-label", right ? "right" : "wrong");
    element.setAttribute("role", "img");
    return element;
  }

  function listItem(example, index) {
    const item = make("li");
    item.id = `example-${index}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", String(index === position));
    const marks = make("span", "marks");
    marks.append(...["row-a", "row-b"].map((row) => mark(isRight(example, Number(at(row).value), task))));
    const words = setLanguage(make("span", "words", example[2] ?? example[1]), example[0]);
    item.append(make("span", "code", example[0]), words, marks);
    item.addEventListener("click", () => go(index));
    return item;
  }

  function picture(number) {
    const [id, uri] = task.images[number];
    if (!uri) return make("div", "lacking", id);
    const image = make("img");
    image.src = uri;
    image.alt = id;
    return image;
  }

  function card(example) {
    const pictures = make("div", "pictures");
    pictures.append(...example[4].map(picture));
    const facts = make("dl", "facts");
    const known = [["language", languageName(example[0])], ["example", example[1]]];
    known.push(task.ranks ? ["image", task.images[example[3]][0]] : ["right label", task.labels[example[3]]]);
    for (const [name, value] of known) {
      const fact = make("div");
      fact.append(make("dt", "", name), make("dd", "", value));
      facts.append(fact);
    }
    const answers = make("div", "answers");
    answers.append(...["row-a", "row-b"].map((row) => answer(example, Number(at(row).value))));
    const words = example[2] === null ? [] : [setLanguage(make("p", "words", example[2]), example[0])];
    return [pictures, ...words, facts, answers];
  }

  function answer(example, row) {
    const given = example[5][row], box = make("section", "answer"), heading = make("h4", "", `${task.rows[row]} `);
    heading.append(mark(isRight(example, row, task)));
    box.append(heading, ...(task.ranks ? ranking(example, given) : probabilities(example, given)));
    const right = given[given.length - 1];
    if (task.seeds > 1) box.append(make("p", "quiet", `right with ${right} of ${task.seeds} seeds`));
    return box;
  }

  function probabilities(example, given) {
    const said = make("p", "", task.labels[given[0]]);
    if (given[1] === null) return [said];
    const shares = make("div", "shares");
    for (const [label, probability] of given[1]) {
      const track = make("span", "track"), share = make("i");
      share.style.width = `${100 * Math.min(1, Math.max(0, probability ?? 0))}%`;
      track.append(share);
      const own = label === example[3] ? " own" : "";
      shares.append(make("span", `name${own}`, task.labels[label]), track, make("span", `number${own}`, percent(probability)));
    }
    return [said, shares];
  }

  const percent = (value) => (value === null ? "-" : `${(100 * value).toFixed(1)} %`);

  function ranking(example, given) {
    const [images, similarities, [rank, ranked, similarity]] = given;
    const list = make("ol", "ranks");
    images.forEach((number, index) => {
      const item = make("li", number === example[3] ? "own" : "");
      const known = similarities && similarities[index] !== null ? `: ${similarities[index]}` : "";
      item.append(picture(number), make("span", "quiet", `${index + 1}${known}`));
      list.append(item);
    });
    const place = rank === null ? `not among the first ${ranked}` : `rank ${rank}`;
    return [list, make("p", "", `right image: ${place}${similarity === null ? "" : ` (similarity ${similarity})`}`)];
  }

  function go(to) {
    position = Math.max(0, Math.min(matching.length - 1, to));
    show();
  }

  const STEPS = { j: 1, ArrowRight: 1, ArrowDown: 1, k: -1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
  at("tool").addEventListener("keydown", (event) => {
    const inList = event.target === at("list");
    const typing = event.target.matches("select, input");
    const onlyInList = ["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End"].includes(event.key);
    if (!(event.key in STEPS) || typing || (onlyInList && !inList) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (matching.length) go(position + STEPS[event.key]);
  });
  at("previous").addEventListener("click", () => go(position - 1));
  at("next").addEventListener("click", () => go(position + 1));
  at("task").addEventListener("change", showTask);
  at("row-a").addEventListener("change", () => chooseRow("row-a", "row-b"));
  at("row-b").addEventListener("change", () => chooseRow("row-b", "row-a"));
  for (const input of document.querySelectorAll('#language, #label, input[name="who"]')) input.addEventListener("change", filter);
  at("tool").querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  fill(at("task"), data.tasks.map((each, index) => [index, each.task]));
  at("tool").hidden = false;
  showTask();
})();
