// Reads the embedded data and fills the places that the page left for them.

const data = JSON.parse(document.getElementById("data").textContent);
const place = (id, show) => {
  const host = document.getElementById(id);
  if (host) show(host);
};
place("training", (host) => showTraining(host, data.training, data.runs));
place("retrieval", (host) => showRetrieval(host, data.retrieval));
place("correlation", (host) => showCorrelation(host, data.correlation, data.runs));
place("plans", (host) => showPlans(host, data, data.runs));
place("browser", (host) => showBrowser(host, data, data.runs));
showContents();
