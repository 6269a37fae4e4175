// The chart of the overview, drawn from the table that stands below it: without this script the table is the whole.
"use strict";

(function () {
  const HEIGHT = 240;

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function read(table) {
    const heads = [...table.tHead.rows[0].cells].slice(1);
    const rows = [...table.tBodies[0].rows].reverse();
    return {
      outcomes: heads.map((head) => head.dataset.outcome),
      times: rows.map((row) => Number(row.dataset.at)),
      counts: heads.map((_, column) => rows.map((row) => Number(row.cells[column + 1].textContent))),
    };
  }

  // each series on top of those before it, the highest drawn first; where it has none, no bar
  function stacked(counts) {
    const below = counts[0].map(() => 0);
    return counts.map((series) =>
      series.map((count, place) => {
        below[place] += count;
        return count ? below[place] : null;
      }),
    );
  }

  // days by their dates, hours of a day as on a clock of 24
  function ticks(_, times) {
    const two = (number) => String(number).padStart(2, "0");
    return times.map((time, place) => {
      const at = new Date(time * 1e3);
      const hour = two(at.getUTCHours()) + ":" + two(at.getUTCMinutes());
      const date = at.getUTCFullYear() + "-" + two(at.getUTCMonth() + 1) + "-" + two(at.getUTCDate());
      if (hour === "00:00") {
        return date;
      }
      return place === 0 ? date + "\n" + hour : hour;
    });
  }

  function options(shown, sums, width) {
    const ink = colour("chart-ink");
    const axis = { stroke: ink, grid: { stroke: colour("chart-grid"), width: 1 }, ticks: { stroke: colour("chart-grid") } };
    const bars = uPlot.paths.bars({ size: [0.8, 60], align: 1 });
    const step = shown.times.length > 1 ? shown.times[1] - shown.times[0] : 3600;
    const order = shown.outcomes.map((_, index) => index).reverse();
    return {
      width: width,
      height: HEIGHT,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
      scales: {
        x: { range: () => [shown.times[0], shown.times[shown.times.length - 1] + step] },
        y: { range: (_, low, high) => [0, Math.max(4, Math.ceil(high * 1.1))] },
      },
      axes: [{ ...axis, values: ticks, space: 90 }, { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] }],
      cursor: { drag: { x: false, y: false } },
      legend: { markers: { width: 0 } },
      series: [
        { label: "From (UTC)", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
        ...order.map((index) => ({
          label: shown.outcomes[index],
          fill: colour(shown.outcomes[index]),
          stroke: colour(shown.outcomes[index]),
          width: 0,
          paths: bars,
          points: { show: false },
          value: (_, value, __, place) => (place === null ? "-" : shown.counts[index][place]),
        })),
      ],
    };
  }

  function draw() {
    const place = document.getElementById("chart");
    const table = place && document.getElementById(place.dataset.chartOf);
    if (!table || typeof uPlot === "undefined") {
      return;
    }
    const shown = read(table);
    if (!shown.counts.flat().some((count) => count > 0)) {
      return;
    }
    place.hidden = false;
    place.replaceChildren();
    const sums = stacked(shown.counts);
    const order = shown.outcomes.map((_, index) => index).reverse();
    const width = place.clientWidth;
    const plot = new uPlot(options(shown, sums, width), [shown.times, ...order.map((index) => sums[index])], place);
    plot.root.setAttribute("role", "img");
    plot.root.setAttribute("aria-label", "Chart of verdicts over time; the table below has the same numbers");
  }

  let waits = 0;
  function drawSoon() {
    clearTimeout(waits);
    waits = setTimeout(draw, 100);
  }

  // a part that is refused is asked for as a page, which says why
  document.addEventListener("htmx:responseError", (event) => window.location.assign(event.detail.pathInfo.finalRequestPath));

  draw();
  document.addEventListener("htmx:afterSettle", draw);
  window.addEventListener("resize", drawSoon);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
