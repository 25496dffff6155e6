// Learning curves, retrieval per layer, and how retrieval goes with the score.

function showTraining(host, training, runs) {
  const plot = make("div", { class: "chart" });
  const show = (metric) => {
    const series = training.series[metric].map(({ run, split, points }) => {
      const isValid = split === "valid";
      const label = isValid ? `${runs[run]}, validation` : runs[run];
      return { ...look(run), label, points, marks: isValid, dash: isValid ? "4 4" : look(run).dash };
    });
    chart(plot, { series, x: "training step", y: training.titles[metric] });
  };
  const options = training.metrics.map((name) => [name, training.titles[name]]);
  host.append(select("training-metric", "Metric", options, options[0][0], show), plot);
  show(options[0][0]);
}

function showRetrieval(host, retrieval) {
  const plot = make("div", { class: "chart" });
  const chosen = { score: "mrr", direction: "both" };
  const show = () => {
    const { score, direction } = chosen;
    const series = retrieval.curves.map((curve) => ({
      ...look(curve.run),
      ...(curve.before ? { dash: "2 5" } : curve.variant ? { dash: DASHES[curve.variant % DASHES.length] } : {}),
      label: curve.label,
      points: curve.layers.map((layer, place) => [layer, curve.values[score][direction][place]]),
      band: (curve.bands[`${score} ${direction}`] || []).map(([low, high], place) => [curve.layers[place], low, high]),
      marks: true,
    }));
    const rules = [{ y: retrieval.chance[score], label: "random order" }];
    const spec = { series, rules, shaded: retrieval.selected, zero: true, whole: true };
    chart(plot, { ...spec, x: "LLM layer (0 = its input)", y: score.replace("mrr", "MRR") });
  };
  const pick = (name) => (value) => { chosen[name] = value; show(); };
  const named = (names) => names.map((name) => [name, name.replaceAll("_", " ").replace("mrr", "MRR")]);
  const scores = select("retrieval-score", "Score", named(retrieval.scores), "mrr", pick("score"));
  host.append(scores, select("retrieval-direction", "Direction", named(retrieval.directions), "both", pick("direction")));
  host.append(plot);
  show();
}

function showCorrelation(host, correlation, runs) {
  const plot = make("div", { class: "chart" });
  const show = (layer) => {
    const points = correlation.layers[layer];
    const series = points.map(([run, mrr, score]) => ({
      ...look(run), label: runs[run], points: [[mrr, score]], line: false, marks: true, names: [runs[run]],
    }));
    chart(plot, { series, scatter: true, x: `MRR at layer ${layer}`, y: correlation.score });
  };
  const layers = Object.keys(correlation.layers);
  const start = String(correlation.shown);
  host.append(select("correlation-layer", "Layer", layers.map((name) => [name, `layer ${name}`]), start, show), plot);
  show(start);
}
