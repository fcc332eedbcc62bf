"use strict";
// Shows the data of the page (data.rs). All text is set with textContent; nothing is requested.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const main = document.getElementById("main");
  const SVG = "http://www.w3.org/2000/svg";

  // ---- elements -------------------------------------------------------------------------------

  const put = (element, options, children) => {
    for (const [name, value] of Object.entries(options || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "text") element.textContent = value;
      else if (name === "on") for (const [event, call] of Object.entries(value)) element.addEventListener(event, call);
      else element.setAttribute(name, value === true ? "" : String(value));
    }
    for (const child of children) if (child !== null && child !== undefined) element.append(child);
    return element;
  };
  const el = (tag, options, ...children) => put(document.createElement(tag), options, children);
  const svg = (tag, options, ...children) => put(document.createElementNS(SVG, tag), options, children);

  // ---- numbers --------------------------------------------------------------------------------

  const seconds = (s) => {
    if (s === undefined || s === null) return "–";
    const [value, unit] = s >= 1 ? [s, "s"] : s >= 1e-3 ? [s * 1e3, "ms"] : s >= 1e-6 ? [s * 1e6, "µs"] : [s * 1e9, "ns"];
    const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : unit === "ns" ? 0 : 2;
    return `${value.toFixed(digits)} ${unit}`;
  };
  const nanos = (ns) => seconds(ns / 1e9);
  const count = (n) => (n === undefined ? "–" : Math.round(n).toLocaleString("en").replaceAll(",", "\u202f"));
  const many = (n, noun, plural) => `${count(n)} ${n === 1 ? noun : plural || noun + "s"}`;
  const bytes = (n) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    while (n >= 1024 && at < 4) { n /= 1024; at += 1; }
    return `${at === 0 ? n : n.toFixed(1)} ${units[at]}`;
  };
  const percent = (part, whole) => {
    const value = (100 * part) / whole;
    return `${value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : value.toPrecision(1)} %`;
  };
  const two = (n) => String(n).padStart(2, "0");
  const time = (ms) => { const d = new Date(ms); return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`; };
  const day = (ms) => { const d = new Date(ms); return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${time(ms)}`; };
  const length = data.written - data.started;
  /** A time on the axis of a chart: since the start in a short run, else the time of the day. */
  const axis = (ms) => (length < 120e3 ? `${((ms - data.started) / 1e3).toFixed(1)} s` : time(ms));
  const words = (...parts) => parts.filter((part) => part !== "" && part !== undefined).join(" ");
  const sum = (list, of) => list.reduce((total, item) => total + of(item), 0);

  // ---- sections -------------------------------------------------------------------------------

  const nav = document.getElementById("nav");
  const section = (id, title, note, ...children) => {
    nav.append(el("a", { href: `#${id}`, text: title }));
    const made = el("section", { id, "aria-labelledby": `${id}-title` },
      el("h2", { id: `${id}-title`, text: title }), note ? el("p", { class: "note", text: note }) : null, ...children);
    main.append(made);
    return made;
  };

  /** A table. A column is { title, value, show, number, sort }. */
  const table = (label, columns, rows, sorted) => {
    const body = el("tbody");
    const heads = columns.map((column) => {
      const head = el("th", { scope: "col", class: column.number ? "n" : null });
      if (column.sort) head.append(el("button", { type: "button", text: column.title, on: { click: () => order(column) } }));
      else head.textContent = column.title;
      return head;
    });
    const order = (column) => {
      const at = columns.indexOf(column);
      const before = heads[at].getAttribute("aria-sort");
      const down = before ? before === "ascending" : Boolean(column.number);
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => { const it = column.sort(row); return it === undefined ? -1 : it; };
      rows.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (down ? -1 : 1));
      fill();
    };
    const fill = () => body.replaceChildren(...rows.slice(0, most).map((row) => el("tr", null, ...columns.map((column, at) => {
      const shown = column.show(row);
      const cell = el(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: words(column.number ? "n" : "", column.class ? column.class(row) : "") || null });
      cell.append(shown === undefined || shown === null ? "" : shown);
      return cell;
    }))));
    let most = rows.length > 15 ? 10 : rows.length;
    if (sorted) order(columns[sorted]); else fill();
    const more = most < rows.length ? el("button", { type: "button", class: "plain-button", text: `show all ${count(rows.length)}`, on: { click: () => { most = rows.length; fill(); more.remove(); } } }) : null;
    return el("div", null, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
      el("table", { "aria-label": label }, el("thead", null, el("tr", null, ...heads)), body)), more);
  };

  // ---- at a glance ----------------------------------------------------------------------------

  const resource = new Map(data.resource);
  const service = resource.get("service.name") || "unknown service";
  document.title = `${service} – telemetry report`;
  document.getElementById("title").textContent = service;
  const took = (data.written - data.started) / 1e3;
  document.getElementById("subtitle").textContent =
    `Telemetry report, ${day(data.started)} to ${time(data.written)} (${took < 120 ? `${took.toFixed(1)} s` : `${(took / 60).toFixed(0)} min`})`
    + `${resource.has("host.name") ? ` on ${resource.get("host.name")}` : ""}${data.pipeline.last ? "" : ", written while the program was running"}`;

  const calls = [...data.operations.map((row) => ({ ...row, job: false })), ...data.jobs.map((row) => ({ ...row, job: true }))];
  const title = (row) => words(row.name, row.target);
  const kept = data.traces.kept;
  const line = (left, right, style) => el("li", null, left, el("span", { class: style, text: right }));
  const link = (to, text) => el("a", { href: `#${to}`, text });

  const glance = () => {
    const slowest = [...calls].filter((row) => row.p99 !== undefined).sort((a, b) => b.p99 - a.p99);
    const slow = el("div", { class: "card slow" }, el("h3", { text: "Slow" }),
      el("div", { class: "big", text: slowest.length ? seconds(slowest[0].p99) : "no calls" }),
      el("div", { class: "soft", text: slowest.length ? `99th percentile of ${title(slowest[0])}, the slowest` : "Nothing was measured." }),
      el("ul", null, ...slowest.slice(1, 4).map((row) => line(el("span", { text: title(row) }), seconds(row.p99)))));
    const all = sum(calls, (row) => row.count);
    const failed = sum(calls, (row) => row.errors);
    const kinds = calls.flatMap((row) => row.error_types.map(([type, number]) => ({ row, type, number }))).sort((a, b) => b.number - a.number);
    const fails = el("div", { class: `card ${failed ? "bad" : "ok"}` }, el("h3", { text: "Failed" }),
      el("div", { class: `big ${failed ? "bad-text" : "ok-text"}`, text: failed ? many(failed, "call") : "✓ none" }),
      el("div", { class: "soft", text: failed ? `${percent(failed, all)} of ${many(all, "call")}` : `of ${many(all, "call")}` }),
      el("ul", null, ...kinds.slice(0, 3).map(({ row, type, number }) => line(el("span", { text: `${title(row)}: ${type}` }), count(number), "bad-text"))));
    const lost = data.pipeline.lost;
    const reasons = losses().filter((loss) => loss.number > 0).sort((a, b) => b.number - a.number);
    const broken = data.pipeline.exporters.filter((it) => it.failed > 0 && it.signal === "metrics");
    const bad = lost > 0 || broken.length > 0;
    const loss = el("div", { class: `card ${bad ? "bad" : "ok"}` }, el("h3", { text: "Lost" }),
      el("div", { class: `big ${bad ? "bad-text" : "ok-text"}`, text: lost ? many(lost, "span") : bad ? "exports failed" : "✓ nothing" }),
      el("div", { class: "soft", text: lost ? worst() : `of ${many(data.pipeline.recorded, "recorded span")}` }),
      el("ul", null, ...reasons.slice(0, 3).map((it) => line(link("lost", it.reason), count(it.number), "bad-text")),
        line(link("left-out", "traces on this page"), `${count(kept.length)} of ${count(data.traces.seen)}`)));
    main.append(el("section", { class: "plain", id: "glance", "aria-label": "At a glance" }, el("div", { class: "cards" }, slow, fails, loss)));
  };

  /** The exporter with the largest losses, and how many spans it should have received. */
  function worst() {
    const lostBy = (it) => it.failed + it.queue_full + it.at_shutdown + it.after_shutdown;
    const exporters = data.pipeline.exporters.filter((it) => it.signal === "traces").sort((a, b) => lostBy(b) - lostBy(a));
    const [most] = exporters;
    const before = data.pipeline.dropped_records + data.pipeline.dropped_after_shutdown;
    if (!most || !lostBy(most)) return `of ${many(data.pipeline.recorded, "recorded span")}, before the exporters`;
    const others = exporters.filter(lostBy).length - 1;
    return `of ${many(most.exported + most.waiting + lostBy(most) + before, "span")}, on the way to ${most.to}${others ? `; ${many(others, "other exporter")} lost no more than that` : ""}`;
  }

  function losses() {
    const of = (it, name, reason) => ({ reason: `${it.items} to ${it.to}: ${reason}`, number: it[name] });
    const list = [{ reason: "spans: buffer of records full", number: data.pipeline.dropped_records }, { reason: "spans: ended after the shutdown", number: data.pipeline.dropped_after_shutdown }];
    for (const it of data.pipeline.exporters) {
      list.push(of(it, "failed", "export failed"), of(it, "queue_full", "queue full"), of(it, "at_shutdown", "deadline of the shutdown"), of(it, "after_shutdown", "ended after the shutdown"));
    }
    return list;
  }

  // ---- operations and jobs --------------------------------------------------------------------

  const range = (row, least, most) => {
    if (row.p50 === undefined) return "";
    const width = 120;
    const x = (value) => (most > least ? ((Math.log(Math.max(value, 1e-9)) - least) / (most - least)) * (width - 10) + 5 : 5);
    const max = row.max === undefined ? row.p99 : row.max;
    return svg("svg", { class: "dot-range", width, height: 12, viewBox: `0 0 ${width} 12`, "aria-hidden": "true" },
      svg("line", { x1: x(row.p50), x2: x(max), y1: 6, y2: 6 }), svg("circle", { cx: x(row.p50), cy: 6, r: 3.5 }), svg("rect", { x: x(row.p99) - 1.5, y: 1, width: 3, height: 10 }));
  };
  /** The number of failed calls, and the most frequent types of their errors. */
  const failures = (row) => {
    const types = [...row.error_types].sort((a, b) => b[1] - a[1]);
    const shown = types.slice(0, 3).map(([type, number]) => el("div", { class: "kinds", text: types.length > 1 ? `${type} ${count(number)}` : type }));
    return el("span", null, count(row.errors), ...shown, types.length > 3 ? el("div", { class: "kinds", text: `${count(types.length - 3)} more` }) : null);
  };
  const operations = (id, heading, names, rows) => {
    if (!rows.length) return;
    const least = Math.log(Math.max(1e-9, Math.min(...rows.map((row) => row.p50 || 1e-9))));
    const most = Math.log(Math.max(...rows.map((row) => row.max || row.p99 || 1e-9)));
    const number = (name, key, show) => ({ title: name, number: true, sort: (row) => row[key], show: (row) => show(row[key]) });
    const columns = [
      { title: names[0], sort: title, show: (row) => row.name }, { title: names[1], sort: (row) => row.target, show: (row) => row.target },
      number("calls", "count", count),
      { ...number("failed", "errors", count), show: failures, class: (row) => (row.errors ? "bad-text" : "soft") },
      number("p50", "p50", seconds), number("p90", "p90", seconds), number("p99", "p99", seconds), number("max", "max", seconds),
      { title: "p50 ● p99 ▮ max", show: (row) => range(row, least, most) },
      number("total time", "total", seconds),
    ];
    if (rows.some((row) => row.rows !== undefined)) columns.push(number("rows", "rows", count));
    section(id, heading, "Every call is measured, sampled or not. Percentiles are estimates from the buckets of the histogram.", table(heading, columns, rows, 9));
  };

  // ---- latency over time ----------------------------------------------------------------------

  const heatMaps = () => {
    const { columns, maps } = data.heat;
    const shown = maps.filter((map) => map.cells.length);
    if (!columns.length || !shown.length) return;
    const total = (map) => sum(map.cells, (cell) => sum(cell.slice(2).filter((_, at) => at % 2), (n) => n));
    const ordered = shown.map((map) => ({ map, total: total(map) })).sort((a, b) => b.total - a.total);
    const grid = el("div", { class: "maps" });
    const rest = el("div", { class: "maps" });
    const first = Math.max(1, Math.min(6, ordered.filter((item) => item.total >= 10).length));
    ordered.forEach((item, at) => (at < first ? grid : rest).append(heatMap(item.map, item.total, columns)));
    const scale = svg("svg", { viewBox: "0 0 6 1", preserveAspectRatio: "none", "aria-hidden": "true" }, ...[1, 2, 3, 4, 5, 6].map((n) => svg("rect", { class: `h${n}`, x: n - 1, y: 0, width: 1, height: 1 })));
    const width = (columns[columns.length - 1][1] - columns[0][0]) / columns.length;
    section("latency", "Latency over time", `One column is ${width < 1000 ? `${Math.round(width)} ms` : `${(width / 1000).toFixed(1)} s`}, one row a bucket of the histogram. The cells of an operation sum up to its number of calls.`,
      el("div", { class: "legend" }, el("span", null, "few ", el("span", { class: "scale" }, scale), " many calls"), el("span", null, el("i", { class: "failed" }), "top row: failed calls")),
      grid, ordered.length > first ? el("details", null, el("summary", { text: `${many(ordered.length - first, "more operation")}` }), rest) : null);
  };
  const heatMap = (map, total, columns) => {
    const used = map.cells.flatMap((cell) => cell.slice(2).filter((_, at) => at % 2 === 0));
    const low = Math.min(...used), high = Math.max(...used), rows = high - low + 1;
    const failed = sum(map.cells, (cell) => cell[1]);
    const top = failed ? 1.4 : 0;
    const most = Math.max(...map.cells.flatMap((cell) => cell.slice(2).filter((_, at) => at % 2)));
    const level = (n) => (most === 1 ? 4 : Math.max(1, Math.ceil((6 * Math.log(n + 1)) / Math.log(most + 1))));
    const bound = (row) => (row < 0 ? "0 s" : row < map.bounds.length ? seconds(map.bounds[row]) : "more");
    const name = map.name === undefined ? "all other operations" : title(map);
    const plot = svg("svg", { viewBox: `0 0 ${columns.length} ${rows + top}`, preserveAspectRatio: "none", height: Math.round(13 * (rows + top)), role: "img",
      "aria-label": `${name}: ${many(total, "call")}, ${count(failed)} failed, from ${bound(low - 1)} to ${bound(high)}` });
    for (const cell of map.cells) {
      const x = cell[0];
      const span = `${axis(columns[x][0])} to ${axis(columns[x][1])}`;
      if (cell[1]) plot.append(svg("rect", { class: "hf", x, y: 0, width: 1, height: 1 }, svg("title", { text: `${many(cell[1], "failed call")}, ${span}` })));
      for (let at = 2; at < cell.length; at += 2) {
        const row = cell[at];
        plot.append(svg("rect", { class: `h${level(cell[at + 1])}`, x, y: high - row + top, width: 1, height: 1 },
          svg("title", { text: `${many(cell[at + 1], "call")} from ${bound(row - 1)} to ${bound(row)}, ${span}` })));
      }
    }
    return el("figure", { class: "map" },
      el("figcaption", null, el("span", { text: name }), el("span", { class: failed ? "bad-text" : "soft", text: `${many(total, "call")}${failed ? `, ${count(failed)} failed` : ""}` })),
      el("div", { class: "plot" }, el("div", { class: "rows", "aria-hidden": "true" }, el("span", { text: bound(high) }), el("span", { text: bound(low - 1) })), plot,
        el("div", { class: "times", "aria-hidden": "true" }, el("span", { text: axis(columns[0][0]) }), el("span", { text: axis(columns[columns.length - 1][1]) }))));
  };

  // ---- traces ---------------------------------------------------------------------------------

  const text = (at) => data.texts[at];
  const pairs = (list) => {
    const found = [];
    for (let at = 0; at + 1 < list.length; at += 2) found.push([text(list[at]), Array.isArray(list[at + 1]) ? String(list[at + 1][0]) : text(list[at + 1])]);
    return found;
  };
  const style = (span, attributes) => {
    if (span.e) return "failed";
    if (attributes.some(([key]) => key === "job.type")) return "job";
    const kind = span.k === undefined ? "" : text(span.k);
    return kind === "client" || kind === "server" ? kind : "";
  };
  const SHORT = { "error.type": "", "db.response.returned_rows": "rows ", "job.batch_size": "batch ", "db.operation.batch.size": "batch ", "http.response.status_code": "" };
  const bar = (start, length, whole, name) => {
    const drawn = el("div", { class: words("bar", name) });
    drawn.style.left = `${Math.min(99.8, (100 * start) / whole)}%`;
    drawn.style.width = `${Math.max(0, Math.min(100 - (100 * start) / whole, (100 * length) / whole))}%`;
    return el("div", { class: "track", "aria-hidden": "true" }, drawn);
  };
  const row = (depth, name, extra, drawn, duration, extraClass, info) => {
    const label = el("span", { class: "label" }, el("span", { class: "text", text: name, title: name }), extra ? el("span", { class: `extra ${extraClass || ""}`, text: extra }) : null, info);
    label.style.paddingLeft = `${Math.min(depth, 24) * 14}px`;
    return el("summary", null, label, drawn, el("span", { class: "d", text: duration }));
  };
  const lazily = (details, open, content) => {
    let drawn = false;
    const draw = () => { if (details.open && !drawn) { drawn = true; content(); } };
    details.addEventListener("toggle", draw);
    if (open) { details.open = true; draw(); }
    return details;
  };

  /** Draws the lines below a span. `room` bounds how many spans are drawn before they are opened. */
  const lines = (list, depth, trace, room) => el("ul", null, ...list.map((item) => el("li", null, item.f ? foldLine(item.f, depth, trace, room) : spanLine(item, depth, trace, room))));
  const spanLine = (span, depth, trace, room) => {
    room.left -= 1;
    const attributes = span.a ? pairs(span.a) : [];
    const extra = attributes.filter(([key]) => key in SHORT).map(([key, value]) => SHORT[key] + value).join("  ");
    // A span without children shows its attributes when it is opened; another one has a button.
    const place = el("div");
    const info = span.c ? el("button", { type: "button", class: "info", text: "⋯", "aria-expanded": "false", "aria-label": `attributes of ${text(span.n)}`, title: "attributes", on: { click: (event) => {
      event.preventDefault();
      const open = info.getAttribute("aria-expanded") === "true";
      info.setAttribute("aria-expanded", String(!open));
      if (open) place.replaceChildren();
      else { place.replaceChildren(about(span, attributes)); details.open = true; }
    } } }) : null;
    const details = el("details", { class: "span" }, row(depth, (span.e ? "✗ " : "") + text(span.n), extra, bar(span.s, span.d, trace.took || 1, style(span, attributes)), nanos(span.d), span.e ? "bad-text" : "", info));
    return lazily(details, Boolean(span.c) && room.left > 0, () => {
      if (span.c) details.append(place, lines(span.c, depth + 1, trace, room));
      else details.append(about(span, attributes));
    });
  };
  const foldLine = (folded, depth, trace, room) => {
    const times = folded.map((span) => span.d).sort((a, b) => a - b);
    const start = Math.min(...folded.map((span) => span.s));
    const end = Math.max(...folded.map((span) => span.s + span.d));
    const details = el("details", { class: "span folded" }, row(depth, `… ${count(folded.length)} more × ${text(folded[0].n)}`,
      `median ${nanos(times[Math.floor(times.length / 2)])}, longest ${nanos(times[times.length - 1])}`, bar(start, end - start, trace.took || 1, words(style(folded[0], folded[0].a ? pairs(folded[0].a) : []), "fold")), nanos(sum(times, (it) => it))));
    return lazily(details, false, () => details.append(lines(folded, depth + 1, trace, { left: 0 })));
  };
  const about = (span, attributes) => {
    const list = el("dl");
    const add = (key, value) => list.append(el("dt", { text: key }), el("dd", { text: value }));
    if (span.m) add("error", span.m);
    for (const [key, value] of attributes) add(key, value);
    for (const [name, at, more] of span.v || []) add(`event at ${nanos(at)}`, words(text(name), ...pairs(more).map(([key, value]) => `${key}=${value}`)));
    for (const [trace, id] of span.l || []) {
      const known = data.traces.kept.find((it) => it.id === trace);
      add("link", `${known ? `${known.name}, ` : ""}span ${id} of trace ${trace}`);
    }
    if (span.p) add(span.r ? "remote parent" : "missing parent", span.p);
    if (span.x) add("deeper spans", `${count(span.x)} not shown`);
    add("span id", span.i);
    return el("div", { class: "about" }, list);
  };
  /** The line of a trace, with its duration on a logarithmic scale between those of all traces. */
  const traceLine = (trace, [least, most]) => {
    const meter = el("i");
    meter.style.width = `${most > least ? 4 + (96 * Math.log(Math.max(1, trace.took) / least)) / Math.log(most / least) : 100}%`;
    const facts = [many(trace.spans, "span"), trace.errors ? many(trace.errors, "error") : "", trace.error || "", `at ${axis(trace.start)}`, trace.complete ? "" : "incomplete"].filter(Boolean).join(" · ");
    const details = el("details", { class: "trace", "data-why": trace.why, id: `trace-${trace.id}` },
      el("summary", null, el("span", { class: "trace-name" }, el("b", { text: trace.name }), el("span", { class: "soft", text: facts })),
        el("span", { class: `meter ${trace.errors ? "bad" : ""}`, "aria-hidden": "true" }, meter), el("span", { class: "took", text: nanos(trace.took) })));
    return lazily(details, false, () => {
      const marks = el("span", { class: "marks", "aria-hidden": "true" }, ...[0, 0.25, 0.5, 0.75, 1].map((part) => el("span", { text: part ? nanos(part * trace.took) : "0" })));
      const box = el("div", { class: "spans" }, el("p", { class: "note" }, "trace ", el("span", { class: "mono", text: trace.id })), el("div", { class: "ruler" }, el("span"), marks, el("span")),
        lines(trace.tree, 0, trace, { left: 400 }));
      if (trace.omitted) {
        const number = sum(trace.omitted, (it) => it[1]);
        box.append(el("p", { class: "note", text: `${many(number, "shorter span")} of this trace ${number === 1 ? "was" : "were"} left out: ${trace.omitted.map(([name, n, total]) => `${count(n)} × ${name} (${nanos(total)})`).join(", ")}.` }));
      }
      details.append(box);
    });
  };
  const traces = () => {
    if (!kept.length) return section("traces", "Traces", data.traces.open ? `No trace has ended; ${many(data.traces.open, "trace")} with ${many(data.traces.open_spans, "span")} ${data.traces.open === 1 ? "is" : "are"} open.` : "No span was exported to this page.");
    const groups = [["failed", "Failed", true], ["slow", "Slowest", true], ["sample", "Random sample of the others", false]];
    const times = kept.map((trace) => Math.max(1, trace.took));
    const range = [Math.min(...times), Math.max(...times)];
    const made = section("traces", "Traces", `${count(kept.length)} of ${many(data.traces.seen, "trace")}. Open a trace for its spans, and a span for its attributes.`,
      el("div", { class: "legend" }, ...[["client", "database call"], ["job", "job"], ["server", "request"], ["", "other span"], ["failed", "failed"]].map(([name, meaning]) => el("span", null, el("i", { class: name }), meaning))));
    let first = true;
    for (const [why, name, open] of groups) {
      const list = kept.filter((trace) => trace.why === why).sort((a, b) => b.took - a.took).map((trace) => traceLine(trace, range));
      if (!list.length) continue;
      const group = el("details", { class: "group", open: open || first }, el("summary", null, el("h3", { text: `${name} (${list.length})` })), ...list.slice(0, 8));
      if (list.length > 8) {
        const more = el("button", { type: "button", class: "plain-button", text: `show all ${list.length}`, on: { click: () => { more.replaceWith(...list.slice(8)); } } });
        group.append(more);
      }
      made.append(group);
      if (first) list[0].open = true;
      first = false;
    }
    return made;
  };

  // ---- flame graph ----------------------------------------------------------------------------

  const flame = () => {
    const { nodes, left_out: leftOut } = data.flame;
    if (!nodes.length) return;
    const weigh = (node) => { node.w = node.o + sum(node.b || [], weigh); return node.w; };
    const root = { n: "all traces", c: data.traces.seen, t: 0, o: 0, b: nodes };
    weigh(root);
    root.t = root.w;
    const link = (node) => { for (const child of node.b || []) { child.up = node; link(child); } };
    link(root);
    const depth = (node) => 1 + Math.max(0, ...(node.b || []).map(depth));
    const box = el("div", { class: "flame", role: "group", "aria-label": "Flame graph" });
    const crumbs = el("div", { class: "crumbs", "aria-live": "polite" });
    const hue = (name) => { let hash = 0; for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) >>> 0; return 15 + (hash % 45); };
    const words = (node) => `${node.n}: ${many(node.c, "span")}, ${nanos(node.t)} in total, ${nanos(node.o)} outside of the spans below, ${percent(node.w, root.w || 1)} of the time${node.e ? `, ${count(node.e)} failed` : ""}`;
    const draw = (focus) => {
      box.replaceChildren();
      const levels = [];
      for (let node = focus; node; node = node.up) levels.unshift(node);
      const add = (node, left, width, level) => {
        if (width < 0.12) return;
        const one = el("button", { type: "button", text: width > 2.5 ? node.n : "", title: words(node), "aria-label": words(node), class: node.e ? "failed" : null, on: { click: () => { draw(node); box.querySelector(`[data-focus]`).focus(); } } });
        if (node === focus) one.setAttribute("data-focus", "");
        one.style.left = `${left}%`;
        one.style.width = `calc(${width}% - 1px)`;
        one.style.top = `${level * 20}px`;
        one.style.background = node === root ? "hsl(40 20% 80%)" : `hsl(${hue(node.n)} ${level < levels.length - 1 ? 25 : 75}% ${68 + (hue(node.n) % 3) * 3}%)`;
        box.append(one);
        if (level < levels.length - 1) return;
        let at = left;
        for (const child of [...(node.b || [])].sort((a, b) => b.w - a.w)) {
          const part = node.w ? (width * child.w) / node.w : 0;
          add(child, at, part, level + 1);
          at += part;
        }
      };
      levels.forEach((node, level) => add(node, 0, 100, level));
      box.style.height = `${20 * (levels.length - 1 + depth(focus)) + 2}px`;
      crumbs.textContent = focus === root ? "Select a box to enlarge it." : words(focus);
    };
    draw(root);
    const paths = [];
    const collect = (node, path) => { for (const child of node.b || []) { const whole = [...path, child.n]; paths.push({ path: whole, node: child }); collect(child, whole); } };
    collect(root, []);
    const top = paths.sort((a, b) => b.node.o - a.node.o).slice(0, 40);
    const list = el("details", null, el("summary", { text: "The same as a table" }), table("Paths of span names by their own time", [
      { title: "path", show: (it) => it.path.join(" › ") }, { title: "spans", number: true, show: (it) => count(it.node.c), sort: (it) => it.node.c },
      { title: "total", number: true, show: (it) => nanos(it.node.t), sort: (it) => it.node.t }, { title: "own time", number: true, show: (it) => nanos(it.node.o), sort: (it) => it.node.o }], top, 3));
    section("flame", "Flame graph", `Where the time of all ${many(data.traces.seen, "trace")} went, by span name. A box is as wide as the time of its spans that no span below covers, and that of the boxes below.${leftOut ? ` ${many(leftOut, "span")} are not in it.` : ""}`, crumbs, box, list);
  };

  // ---- unsampled calls, findings, metrics, losses ---------------------------------------------

  const unsampled = () => {
    const counts = data.metrics.values.filter((it) => it.name === "percolate.call.unsampled");
    const { calls: listed, left_out: leftOut } = data.unsampled;
    if (!listed.length && !counts.length) return;
    const all = sum(counts, (it) => it.value);
    section("unsampled", "Slow and failed calls without a span", `Calls that were not sampled, and were slow or failed: ${count(Math.max(all, listed.length + leftOut))} in all, ${count(listed.length)} listed. At most 10 are listed in a second.`,
      table("Slow and failed calls without a span", [
        { title: "call", show: (it) => words(it.operation, it.target) }, { title: "reason", show: (it) => (it.failed ? "failed" : "slow"), class: (it) => (it.failed ? "bad-text" : "warn-text") }, { title: "error", show: (it) => it.error || "" },
        { title: "duration", number: true, show: (it) => nanos(it.took), sort: (it) => it.took }, { title: "ended", number: true, show: (it) => time(it.end), sort: (it) => it.end },
        { title: "trace", show: (it) => el("span", { class: "mono", text: it.trace || "" }) }], listed));
  };
  const conventions = () => {
    const report = data.conventions;
    if (!report) return;
    const order = { violation: 0, improvement: 1, information: 2 };
    const findings = [...report.findings].sort((a, b) => order[a.level] - order[b.level]);
    const color = { violation: "bad-text", improvement: "warn-text", information: "soft" };
    const place = (it) => (it.file ? `${it.file}:${it.line}` : it.metric ? `metric ${it.metric}` : "");
    section("conventions", "Conventions", `${many(report.spans, "span")} from ${many(report.call_sites, "call site")} ${report.spans === 1 ? "was" : "were"} checked against the OpenTelemetry conventions${findings.length ? "." : ": no problems found."}`,
      findings.length ? table("Findings of the convention check", [
        { title: "place", show: (it) => el("span", null, el("code", { text: place(it) }), it.span ? el("div", { class: "soft", text: it.span }) : null) }, { title: "level", show: (it) => it.level, class: (it) => color[it.level] },
        { title: "finding", show: (it) => el("span", null, it.message, el("div", { class: "soft", text: it.help })) }, { title: "spans", number: true, show: (it) => count(it.count), sort: (it) => it.count }], findings) : null);
  };
  const value = (it) => {
    if (it.count !== undefined) return `${it.unit === "s" ? seconds(it.value) : count(it.value)} in ${count(it.count)}`;
    if (it.unit === "By") return bytes(it.value);
    if (it.unit === "s") return seconds(it.value);
    return `${Number.isInteger(it.value) ? count(it.value) : it.value}${it.unit && !it.unit.startsWith("{") && it.unit !== "1" ? ` ${it.unit}` : ""}`;
  };
  const attributes = (it) => it.attributes.filter(([key]) => key !== "db.system.name").map(([key, shown]) => (key === "db.collection.name" || key === "db.namespace" ? shown : `${key}=${shown}`)).join(", ");
  const metrics = () => {
    const rocks = data.metrics.values.filter((it) => it.name.startsWith("rocksdb."));
    const of = (name) => sum(rocks.filter((it) => it.name === name), (it) => it.value);
    if (rocks.length) {
      const hits = of("rocksdb.block_cache.hits"), misses = of("rocksdb.block_cache.misses");
      const facts = [hits + misses ? `Block cache: ${percent(hits, hits + misses)} of ${count(hits + misses)} reads found their block.` : "",
        of("rocksdb.write.stalled") ? `Writes were stalled for ${seconds(of("rocksdb.write.stalled"))}.` : "", of("rocksdb.compaction.pending") ? `Compactions have yet to rewrite ${bytes(of("rocksdb.compaction.pending"))}.` : "",
        rocks.some((it) => it.ended) ? "A database that was closed has its last figures." : ""];
      const byName = new Map();
      for (const it of rocks) byName.set(it.name, [...(byName.get(it.name) || []), it]);
      const rows = [...byName].map(([name, list]) => ({ name, list, total: sum(list, (it) => it.value) }));
      section("rocksdb", "RocksDB", words(...facts) || "The database's own figures.", table("Figures of RocksDB", [
        { title: "figure", show: (it) => it.name.replace("rocksdb.", "").replaceAll(/[._]/g, " ").replace(/ size$/, "") }, { title: "value", number: true, sort: (it) => it.total, show: (it) => value({ ...it.list[0], value: it.total }) },
        { title: "by collection", show: (it) => (it.list.length > 1 ? it.list.filter((one) => one.value).sort((a, b) => b.value - a.value).map((one) => `${new Map(one.attributes).get("db.collection.name") || attributes(one)} ${value(one)}`).join(", ") : "") }], rows));
    }
    const others = data.metrics.values.filter((it) => !it.name.startsWith("rocksdb.") && it.name !== "percolate.call.unsampled" && !(it.name === "percolate.span.dropped" && !it.value));
    if (others.length) section("metrics", "Other metrics", data.metrics.left_out ? `${many(data.metrics.left_out, "value")} were left out.` : "", table("Other metrics", [
      { title: "metric", sort: (it) => it.name, show: (it) => it.name }, { title: "attributes", show: attributes }, { title: "value", number: true, sort: (it) => it.value, show: value }], others));
  };
  const lost = () => {
    const it = data.pipeline;
    const number = (name, key) => ({ title: name, number: true, show: (row) => count(row[key]), class: (row) => (row[key] && key !== "exported" && key !== "waiting" ? "bad-text" : key === "exported" ? "" : "soft") });
    const before = [it.dropped_records ? `${many(it.dropped_records, "span")} found the buffer of records full: calls end faster than spans are exported.` : "", it.dropped_after_shutdown ? `${many(it.dropped_after_shutdown, "span")} ended after the shutdown.` : ""];
    section("lost", "Exported and lost", words(it.sampler ? `Sampler: ${it.sampler}.` : "", ...before, it.lost ? "" : "No span was lost."), table("Exporters", [
      { title: "exporter", show: (row) => el("span", null, row.to, row.error ? el("div", { class: "bad-text", text: row.error }) : null) }, { title: "of", show: (row) => row.items }, number("exported", "exported"), number("export failed", "failed"), number("queue full", "queue_full"),
      number("shutdown deadline", "at_shutdown"), number("after shutdown", "after_shutdown"), number("waiting", "waiting")], it.exporters),
    ...it.warnings.map((warning) => el("p", { class: "warn-text", text: `Configuration: ${warning}` })));
    const traces = data.traces;
    const facts = [
      `Traces: ${count(kept.length)} of ${count(traces.seen)} are shown, with ${count(traces.kept_spans)} of ${many(traces.seen_spans, "span")}. The page keeps the failed and the slowest traces, at most 5 alike, and a random sample; at most ${count(traces.limit_of_spans)} spans, ${count(traces.limit_of_trace)} of one trace, and ${bytes(traces.limit_of_bytes)} (now ${bytes(traces.kept_bytes)}).`,
      traces.open ? `Open traces: ${many(traces.open, "trace")} with ${many(traces.open_spans, "span")} had not ended and ${traces.open === 1 ? "is" : "are"} not shown.` : "",
      data.flame.left_out ? `Flame graph: ${many(data.flame.left_out, "span")} are not in it.` : "",
      data.metrics.left_out ? `Metrics: ${many(data.metrics.left_out, "value")} are not shown.` : "",
      "Values of attributes are cut after 400 characters. Keys, documents, vectors and the literals of queries are never part of telemetry.",
    ];
    section("left-out", "What this page leaves out", "", el("ul", { class: "note" }, ...facts.filter(Boolean).map((fact) => el("li", { text: fact }))));
    section("resource", "Resource", "", table("Attributes of the resource", [{ title: "attribute", show: ([key]) => key }, { title: "value", show: ([, shown]) => shown }], data.resource));
  };

  glance();
  operations("operations", "Operations", ["operation", "collection"], data.operations);
  operations("jobs", "Jobs", ["job", "target"], data.jobs);
  heatMaps();
  traces();
  flame();
  unsampled();
  conventions();
  metrics();
  lost();
  document.documentElement.dataset.drawn = String(performance.now());
})();
