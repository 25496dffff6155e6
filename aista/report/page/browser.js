// The browser of test utterances: filter, sort by score difference, word differences, audio.

const PAGE = 20;
// Scripts written without spaces are compared character by character.
const SCRIPTS = "\\p{sc=Han}\\p{sc=Hira}\\p{sc=Kana}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmr}\\p{sc=Mymr}";
const UNITS = new RegExp(`[${SCRIPTS}]\\p{M}*|[^\\s${SCRIPTS}]+`, "gu");
const UNSPACED = new RegExp(`^[${SCRIPTS}]`, "u");

function units(text) {
  return [...text.matchAll(UNITS)].map((match) => {
    const isSpaced = !UNSPACED.test(match[0]) || /\s/.test(text[match.index - 1] || "");
    return { text: match[0], isSpaced };
  });
}

// The longest common subsequence; what is left over is marked: added in the hypothesis, missing from the reference.
function differences(reference, hypothesis) {
  const [a, b] = [units(reference), units(hypothesis)];
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const skip = Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      table[i * width + j] = a[i].text === b[j].text ? table[(i + 1) * width + j + 1] + 1 : skip;
    }
  }
  const parts = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const isSame = i < a.length && j < b.length && a[i].text === b[j].text;
    if (isSame) { parts.push(["same", b[j++]]); i++; }
    else if (j >= b.length || (i < a.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) {
      parts.push(["missing", a[i++]]);
    } else parts.push(["added", b[j++]]);
  }
  return parts;
}

function marked(reference, hypothesis) {
  const cell = make("td", {});
  const tags = { same: "span", added: "ins", missing: "del" };
  differences(reference, hypothesis).forEach(([kind, unit], index) => {
    if (index && unit.isSpaced) cell.append(" ");
    cell.append(kind === "same" ? unit.text : make(tags[kind], {}, unit.text));
  });
  if (!hypothesis) cell.append(make("em", {}, " (empty)"));
  return cell;
}

function card(item, runs, clips) {
  const rows = make("tbody", {});
  const row = (name, score, cell) => {
    const note = score === null ? "" : score.toFixed(1);
    rows.append(make("tr", {}, make("th", {}, name), make("td", { class: "score" }, note), cell));
  };
  if (item.transcript) row("transcript", null, make("td", {}, item.transcript));
  row("reference", null, make("td", {}, item.reference));
  runs.forEach((name, index) => {
    if (item.hypotheses[index] !== null) {
      row(name, item.scores[index], marked(item.reference, item.hypotheses[index]));
    }
  });
  const head = make("div", { class: "head" }, make("b", {}, item.id));
  const clip = clips[item.id];
  if (clip) head.append(make("audio", { controls: true, preload: "none", src: clip }));
  return make("article", { class: "utterance", "data-id": item.id }, head, make("table", {}, rows));
}

function browserControls(state, named, pick) {
  const pair = named.length > 1 ? [["both", "gains and losses side by side"]] : [];
  const orders = [...pair, ["corpus", "order of the test set"], ["best", "best first"], ["worst", "worst first"]];
  const filter = make("input", { type: "search", id: "filter", placeholder: "id, transcript, reference, hypothesis" });
  filter.addEventListener("input", () => pick("text", String)(filter.value));
  const audio = make("input", { type: "checkbox", id: "with-audio" });
  audio.addEventListener("change", () => pick("audio", Boolean)(audio.checked));
  const controls = make("div", { class: "controls" }, make("label", { class: "control" }, "Filter", filter));
  controls.append(select("order", "Sort", orders, state.order, pick("order", String)));
  if (named.length > 1) {
    controls.append(select("second", "by Δ chrF:", named, String(state.second), pick("second", Number)));
    controls.append(select("first", "minus", named, String(state.first), pick("first", Number)));
  }
  controls.append(make("label", { class: "control" }, audio, "with audio only"));
  return controls;
}

function showBrowser(host, data, runs) {
  const items = data.utterances;
  const shown = runs.map((_, index) => index).filter((index) => items.some((item) => item.hypotheses[index] !== null));
  const isPair = shown.length > 1;
  const order = isPair ? "both" : "corpus";
  const state = { text: "", order, first: shown[0], second: shown[shown.length - 1], audio: false, count: PAGE };
  const list = make("div", { id: "utterances" });
  const status = make("p", { class: "status", role: "status" });
  const value = (item) => {
    const score = item.scores[state.second];
    return isPair ? score - item.scores[state.first] : score;
  };
  const matching = () => {
    const text = state.text.toLowerCase();
    const has = (item) => [item.id, item.transcript, item.reference, ...item.hypotheses]
      .some((part) => part !== null && part.toLowerCase().includes(text));
    const matches = items.filter((item) => has(item) && (!state.audio || data.clips[item.id]));
    const sign = state.order === "worst" ? 1 : -1;
    return state.order === "corpus" ? matches : matches.sort((one, other) => sign * (value(one) - value(other)));
  };
  const cardOf = (item) => {
    const node = card(item, runs, data.clips);
    const text = isPair ? `Δ ${value(item) >= 0 ? "+" : ""}${value(item).toFixed(1)}` : `chrF ${value(item).toFixed(1)}`;
    node.querySelector("b").after(make("span", { class: "delta" }, text));
    return node;
  };
  // The largest gains on the left, the largest losses on the right, as many of each; then those that are equal.
  const sides = (matches) => {
    const half = state.count / 2;
    const gains = matches.filter((item) => value(item) > 0);
    const losses = matches.filter((item) => value(item) < 0).reverse();
    const equal = matches.filter((item) => value(item) === 0);
    const part = (title, found) => {
      const cards = found.slice(0, half).map(cardOf);
      return make("div", {}, make("h3", {}, `${title}: ${found.length}`), ...cards);
    };
    const columns = make("div", { class: "columns" }, part("gains", gains), part("losses", losses));
    const left = Math.max(...[gains, losses, equal].map((found) => found.length - half));
    return { nodes: [columns, part("equal", equal)], left };
  };
  const show = () => {
    const matches = matching();
    const rest = matches.length - state.count;
    const { nodes, left } =
      state.order === "both" ? sides(matches) : { nodes: matches.slice(0, state.count).map(cardOf), left: rest };
    list.replaceChildren(...nodes);
    const step = state.order === "both" ? PAGE / 2 : PAGE;
    const more = make("button", { type: "button", id: "more", onclick: () => { state.count += PAGE; show(); } });
    more.append(`show ${Math.min(step, left)} more${state.order === "both" ? " of each" : ""}`);
    if (left > 0) list.append(more);
    status.textContent = `${matches.length} of ${items.length} utterances, ${list.querySelectorAll("article").length} shown`;
  };
  const pick = (name, convert) => (chosen) => { state[name] = convert(chosen); state.count = PAGE; show(); };
  const named = shown.map((index) => [String(index), runs[index]]);
  host.append(browserControls(state, named, pick), status, list);
  show();
}
