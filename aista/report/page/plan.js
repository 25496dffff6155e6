// One utterance's transport plan at one layer, under the spectrogram on the same time axis.

const PLAN = { width: 1000, labels: 130, sound: 130, gap: 8, row: 20, axis: 34 };

function bytes(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function raster(matrix, color) {
  const canvas = make("canvas", { width: matrix.columns, height: matrix.rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(matrix.columns, matrix.rows);
  bytes(matrix.data).forEach((value, index) => image.data.set([...color(value / 255), 255], 4 * index));
  context.putImageData(image, 0, 0);
  return canvas;
}

const blues = (share) => [255 - 247 * share, 255 - 207 * share, 255 - 148 * share];
const heat = (level) => [30 + 225 * level ** 1.2, 20 + 210 * level ** 2.2, 70 + 90 * Math.sin(3 * level)];

function drawPlan(canvas, plan, layer, sound) {
  const matrix = plan.layers[layer];
  const top = sound ? PLAN.sound + PLAN.gap : 0;
  const height = top + PLAN.row * plan.tokens.length + PLAN.axis;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = PLAN.width * ratio;
  canvas.height = height * ratio;
  canvas.style.aspectRatio = `${PLAN.width} / ${height}`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, PLAN.width, height);
  const span = PLAN.width - PLAN.labels;
  if (sound) context.drawImage(raster(sound, heat), PLAN.labels, 0, span, PLAN.sound);
  context.imageSmoothingEnabled = false;
  context.drawImage(raster(matrix, blues), PLAN.labels, top, span, PLAN.row * plan.tokens.length);
  context.fillStyle = "#1f2328";
  context.font = "13px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "right";
  plan.tokens.forEach((token, index) => {
    context.fillText(token, PLAN.labels - 8, top + PLAN.row * (index + 0.5), PLAN.labels - 12);
  });
  if (sound) context.fillText("spectrogram", PLAN.labels - 8, PLAN.sound / 2, PLAN.labels - 12);
  const seconds = plan.seconds ? plan.seconds * matrix.columns : 0;
  const end = seconds || matrix.columns;
  context.textAlign = "center";
  for (const value of ticks(0, end, 10)) {
    const x = PLAN.labels + (span * value) / end;
    context.fillRect(x - 0.5, height - PLAN.axis, 1, 5);
    context.fillText(`${short(value)}${seconds ? " s" : ""}`, Math.min(x, PLAN.width - 14), height - PLAN.axis + 14);
  }
}

function readPlan(event, canvas, plan, layer, hasSound) {
  const box = canvas.getBoundingClientRect();
  const scale = PLAN.width / box.width;
  const x = (event.clientX - box.left) * scale - PLAN.labels;
  const y = (event.clientY - box.top) * scale - (hasSound ? PLAN.sound + PLAN.gap : 0);
  const matrix = plan.layers[layer];
  const column = Math.floor((x / (PLAN.width - PLAN.labels)) * matrix.columns);
  const row = Math.floor(y / PLAN.row);
  if (x < 0 || y < 0 || row >= matrix.rows || column >= matrix.columns) return "";
  const share = (bytes(matrix.data)[row * matrix.columns + column] / 255) * matrix.largest;
  return `position ${column}, token ${plan.tokens[row]}: ${(100 * share).toFixed(0)} % of the position's mass`;
}

function showPlans(host, data, runs) {
  const canvas = make("canvas", { id: "plan", role: "img" });
  const note = make("p", { class: "readout" });
  const caption = make("p", { id: "plan-caption" });
  const player = make("div", {});
  const controls = make("div", { class: "controls" });
  const ids = [...new Set(data.plans.map((plan) => plan.id))];
  const state = { id: ids[0], run: null, layer: null };
  let sounding = "";
  const refresh = () => {
    const offered = data.plans.filter((plan) => plan.id === state.id);
    const plan = offered.find((item) => item.run === state.run) || offered[offered.length - 1];
    const layers = Object.keys(plan.layers);
    state.run = plan.run;
    if (!layers.includes(state.layer)) state.layer = String(plan.shown in plan.layers ? plan.shown : layers[0]);
    const pick = (name, convert) => (value) => { state[name] = convert(value); refresh(); };
    const focus = document.activeElement && document.activeElement.id;
    controls.replaceChildren(
      select("plan-utterance", "Utterance", ids.map((id) => [id, id]), state.id, pick("id", String)),
      select("plan-run", "Run", offered.map((item) => [String(item.run), runs[item.run]]), String(state.run), pick("run", Number)),
      select("plan-layer", "Layer", layers.map((layer) => [layer, `layer ${layer}`]), state.layer, pick("layer", String)),
    );
    if (focus && focus.startsWith("plan-")) document.getElementById(focus).focus();
    const sound = data.spectrograms[state.id];
    caption.textContent = `${runs[state.run]}, layer ${state.layer}, utterance ${state.id}`;
    canvas.setAttribute("aria-label", `Transport plan of ${caption.textContent}`);
    drawPlan(canvas, plan, state.layer, sound);
    canvas.onmousemove = (event) => { note.textContent = readPlan(event, canvas, plan, state.layer, Boolean(sound)); };
    const clip = data.clips[state.id];
    if (sounding !== state.id) {
      player.replaceChildren(...(clip ? [make("audio", { controls: true, preload: "none", src: clip })] : []));
    }
    sounding = state.id;
  };
  host.append(controls, caption, player, canvas, note);
  refresh();
}
