//! How a page behaves in a browser. The tests are skipped without Chromium.

use std::path::Path;
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SpanData;
use percolate_otel::{ConventionLayer, TelemetryBuilder};
use serde_json::{Value, json};

use super::browser::Page;
use super::shelf::{DOCUMENT, KEY, LITERAL, MARKUP, Shelf, day, get, import};

const DESK: (u32, u32) = (1280, 1700);
const PHONE: (u32, u32) = (390, 844);

/// A page with a day of the shelf; `None` without a browser.
fn page_of_a_day() -> Option<(Shelf, Page)> {
    let conventions = ConventionLayer::new();
    let shelf = Shelf::with(|builder| builder.report_conventions(&conventions));
    shelf.run(|| day(Some(&conventions)));
    shelf.shutdown();
    let page = Page::open(&shelf.path())?;
    Some((shelf, page))
}

/// Opens all traces and all that can be opened in them, and returns the number of drawn spans.
const OPEN_ALL: &str = "(() => {
    for (const it of document.querySelectorAll('.group > .plain-button')) it.click();
    for (const it of document.querySelectorAll('.group, .trace')) it.open = true;
    const draw = () => { for (const it of document.querySelectorAll('.trace, .span')) it.dispatchEvent(new Event('toggle')); };
    draw();
    for (;;) {
        const closed = document.querySelectorAll('.span.folded:not([open]), .span:not([open])');
        if (!closed.length) break;
        for (const it of closed) it.open = true;
        draw();
    }
    for (const it of document.querySelectorAll('.info[aria-expanded=false]')) it.click();
    document.body.getBoundingClientRect();
    return document.querySelectorAll('.span:not(.folded)').length;
})()";

#[test]
fn a_page_opens_from_a_file_without_an_error_or_a_request() {
    let Some((shelf, mut page)) = page_of_a_day() else {
        return;
    };
    assert_eq!(page.evaluate("document.title"), "shelf – telemetry report");
    assert_eq!(page.evaluate(OPEN_ALL), 49);
    page.evaluate("for (const it of document.querySelectorAll('button')) it.click()");
    page.evaluate("new Promise((done) => setTimeout(done, 100))");
    assert_eq!(page.problems, [""; 0]);
    assert_eq!(
        page.requests,
        [format!("file://{}", shelf.path().display())]
    );
}

#[test]
fn the_page_can_request_nothing_and_runs_no_other_script() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    let fetched = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')");
    assert_eq!(fetched, "refused");
    let ran = page.evaluate(
        "(() => {
            document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' }));
            const image = document.createElement('img');
            image.setAttribute('onerror', 'window.ran = 2');
            image.src = 'http://127.0.0.1:9/x.png';
            document.body.append(image);
            return new Promise((done) => setTimeout(() => done(window.ran === undefined), 100));
        })()",
    );
    assert_eq!(ran, true);
    let refused = page
        .problems
        .iter()
        .filter(|it| it.contains("Content Security Policy"));
    assert!(refused.count() >= 3, "{:?}", page.problems);
}

#[test]
fn no_key_document_or_literal_is_shown_and_no_attribute_becomes_markup() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    page.evaluate(OPEN_ALL);
    let text = page.evaluate("document.documentElement.textContent");
    let text = text.as_str().expect("text");
    for canary in [KEY, DOCUMENT, LITERAL] {
        assert!(!text.contains(canary), "{canary}");
    }
    assert!(text.contains(MARKUP), "the attribute is shown as text");
    assert_eq!(
        page.evaluate("document.querySelectorAll('script').length"),
        2
    );
    assert_eq!(page.evaluate("document.title"), "shelf – telemetry report");
}

#[test]
fn repeated_spans_fold_and_unfold_with_the_mouse_and_the_keyboard() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    page.evaluate(
        "(() => {
            const traces = [...document.querySelectorAll('.trace')];
            window.trace = traces.find((it) => it.textContent.includes('shelf.import'));
            trace.open = true;
            return new Promise((done) => setTimeout(done, 50));
        })()",
    );
    let folded = "trace.querySelector('.folded')";
    let shown = format!("{folded}.querySelectorAll('li').length");
    let is_open = format!("{folded}.open");
    let label = page.evaluate(&format!("{folded}.querySelector('.text').textContent"));
    assert_eq!(label, "… 38 more × put books");
    assert_eq!(
        (page.evaluate(&is_open), page.evaluate(&shown)),
        (false.into(), 0.into())
    );
    page.evaluate(&format!("{folded}.querySelector('summary').click()"));
    page.evaluate("new Promise((done) => setTimeout(done, 50))");
    assert_eq!(
        (page.evaluate(&is_open), page.evaluate(&shown)),
        (true.into(), 38.into())
    );
    page.evaluate(&format!("{folded}.querySelector('summary').focus()"));
    page.press("Enter", 13);
    assert_eq!(page.evaluate(&is_open), false);
    page.press("Enter", 13);
    assert_eq!(
        (page.evaluate(&is_open), page.evaluate(&shown)),
        (true.into(), 38.into())
    );
}

#[test]
fn the_attributes_of_a_span_with_children_are_behind_a_button() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    page.evaluate(
        "(() => {
            window.trace = [...document.querySelectorAll('.trace')].find((it) => it.textContent.includes('GET /books') && it.dataset.why === 'slow');
            trace.open = true;
            return new Promise((done) => setTimeout(done, 50));
        })()",
    );
    let shown = "trace.querySelectorAll('dd').length > 0 && [...trace.querySelectorAll('dd')].some((it) => it.textContent.includes('<script>'))";
    assert_eq!(page.evaluate(shown), false);
    page.evaluate("trace.querySelector('.info').click()");
    assert_eq!(page.evaluate(shown), true);
    let expanded = "trace.querySelector('.info').getAttribute('aria-expanded')";
    assert_eq!(page.evaluate(expanded), "true");
    page.evaluate("trace.querySelector('.info').click()");
    assert_eq!(page.evaluate(shown), false);
}

#[test]
fn traces_are_in_groups_and_the_first_failed_one_is_open() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    let headings = "[...document.querySelectorAll('.group h3')].map((it) => it.textContent)";
    assert_eq!(
        page.evaluate(headings),
        json!(["Failed (1)", "Slowest (2)"])
    );
    let open = "[...document.querySelectorAll('.trace[open]')].map((it) => it.dataset.why)";
    assert_eq!(page.evaluate(open), json!(["failed"]));
}

#[test]
fn tables_are_sorted_by_a_column() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    let first = "document.querySelector('#operations tbody th').textContent";
    page.evaluate("[...document.querySelectorAll('#operations th button')].find((it) => it.textContent === 'calls').click()");
    assert_eq!(page.evaluate(first), "put");
    let order = "document.querySelector('#operations th[aria-sort]').getAttribute('aria-sort')";
    assert_eq!(page.evaluate(order), "descending");
    page.evaluate("document.querySelector('#operations th[aria-sort] button').click()");
    assert_eq!(page.evaluate(order), "ascending");
    assert_eq!(page.evaluate(first), "query");
    let rows = cells(&mut page, "operations");
    let get = rows.iter().find(|row| row[0] == "get").expect("a row");
    assert_eq!(
        get[3], "1report::shelf::ShelfError",
        "failed calls and their error"
    );
}

#[test]
fn a_box_of_the_flame_graph_is_enlarged_and_the_whole_comes_back() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    let boxes = "document.querySelectorAll('.flame button').length";
    let all = page.evaluate(boxes);
    page.evaluate("[...document.querySelectorAll('.flame button')].find((it) => it.textContent === 'shelf.import books').click()");
    let focused = page.evaluate("document.activeElement.textContent");
    assert_eq!(focused, "shelf.import books");
    assert_eq!(page.evaluate(boxes), 3);
    let about = page.evaluate("document.querySelector('.crumbs').textContent");
    let about = about.as_str().expect("text");
    assert!(about.starts_with("shelf.import books: 1 span, "), "{about}");
    page.evaluate("document.querySelector('.flame button').click()");
    assert_eq!(page.evaluate(boxes), all);
}

#[test]
fn every_control_and_every_picture_has_a_name_for_a_screen_reader() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    page.evaluate(OPEN_ALL);
    let tree = page.call("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes");
    let named = [
        "button",
        "link",
        "image",
        "table",
        "region",
        "group",
        "navigation",
        // The summary of an element that folds.
        "DisclosureTriangle",
    ];
    let folds = nodes
        .iter()
        .any(|node| node["role"]["value"] == "DisclosureTriangle");
    assert!(folds, "spans fold");
    let mut seen = 0;
    for node in nodes.iter().filter(|node| node["ignored"] == false) {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let is_details = node["name"]["value"] == "" && role == "group";
        if named.contains(&role) && !is_details {
            seen += 1;
            assert_ne!(
                node["name"]["value"].as_str().unwrap_or_default(),
                "",
                "{node}"
            );
        }
    }
    assert!(seen > 30, "{seen}");
    let headings =
        page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((it) => it.tagName)");
    assert_eq!(headings[0], "H1");
}

#[test]
fn a_phone_shows_the_page_without_scrolling_to_the_side() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    page.show_as(PHONE, false);
    page.evaluate(OPEN_ALL);
    let width = page.evaluate("document.documentElement.scrollWidth");
    assert_eq!(width, PHONE.0);
}

/// The texts of the cells of a section's table.
fn cells(page: &mut Page, section: &str) -> Vec<Vec<String>> {
    let rows = page.evaluate(&format!(
        "[...document.querySelectorAll('#{section} tbody tr')].map((row) => [...row.cells].map((it) => it.textContent))"
    ));
    serde_json::from_value(rows).expect("a table of texts")
}

#[test]
fn calls_without_a_span_are_listed_with_their_names_and_reasons() {
    let shelf = Shelf::unsampled();
    shelf.run(|| {
        get(KEY).expect("it is there");
        get("missing").expect_err("it is missing");
    });
    shelf.shutdown();
    let Some(mut page) = Page::open(&shelf.path()) else {
        return;
    };
    let listed: Vec<_> = cells(&mut page, "unsampled")
        .into_iter()
        .map(|row| row[..3].join(", "))
        .collect();
    let expected = [
        "get books, failed, report::shelf::ShelfError",
        "get books, slow, ",
    ];
    assert_eq!(listed, expected);
    assert_eq!(page.problems, [""; 0]);
}

#[test]
fn what_was_lost_is_at_a_glance_with_its_reason() {
    let shelf = Shelf::with(|builder| builder.queue_size(1).span_exporter(Refuses));
    shelf.run(|| import(3));
    // An error only if the exporter refuses spans during the shutdown.
    _ = shelf.telemetry.shutdown(Duration::from_secs(10));
    let Some(mut page) = Page::open(&shelf.path()) else {
        return;
    };
    let card = page.evaluate("document.querySelector('.card.bad').innerText");
    let card = card.as_str().expect("text");
    assert!(card.contains("4 spans"), "{card}");
    assert!(
        card.contains("of 4 spans, on the way to exporter"),
        "{card}"
    );
    assert!(card.contains("spans to exporter: export failed"), "{card}");
    let exporters = cells(&mut page, "lost");
    let refusing = exporters.iter().find(|row| row[0].starts_with("exporter"));
    let refusing = refusing.expect("the exporter");
    assert_eq!(refusing[0], "exporterno room");
    assert_eq!(refusing[3], "4", "{refusing:?}");
}

/// An exporter that exports nothing.
#[derive(Debug)]
struct Refuses;

impl opentelemetry_sdk::trace::SpanExporter for Refuses {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("no room".to_owned()))
    }
}

/// The contrast of text and its ground, as WCAG defines it: 4.5 is its level AA.
const LEAST_CONTRAST: &str = "(() => {
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((it) => it / 255).map((it) => it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
        .reduce((sum, it, at) => sum + it * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = (it) => { for (; it; it = it.parentElement) { const color = parse(getComputedStyle(it).backgroundColor); if (color.length === 3 || color[3] === 1) return color; } return [255, 255, 255]; };
    let least = [99, ''];
    for (const it of document.querySelectorAll('main *, header *')) {
        if (![...it.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()) || !it.getClientRects().length) continue;
        const [a, b] = [light(parse(getComputedStyle(it).color)), light(ground(it))].sort((a, b) => b - a);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < least[0]) least = [contrast, it.outerHTML.slice(0, 200)];
    }
    return least;
})()";

#[test]
fn text_has_enough_contrast_in_the_light_and_in_the_dark() {
    let Some((_shelf, mut page)) = page_of_a_day() else {
        return;
    };
    page.evaluate(OPEN_ALL);
    for is_dark in [false, true] {
        page.show_as(DESK, is_dark);
        let least = page.evaluate(LEAST_CONTRAST);
        assert!(least[0].as_f64() >= Some(4.5), "dark: {is_dark}, {least}");
    }
}

/// Keeps all spans of a burst.
fn with_room(builder: TelemetryBuilder) -> TelemetryBuilder {
    builder.queue_size(20_000)
}

#[test]
fn ten_thousand_spans_are_drawn_within_two_seconds() {
    let shelf = Shelf::with(with_room);
    for _ in 0..20 {
        shelf.run(|| import(499));
        shelf.flush();
    }
    let data = shelf.shutdown();
    assert_eq!(data["traces"]["kept_spans"], 10_000, "{}", data["pipeline"]);
    let Some(mut page) = Page::open(&shelf.path()) else {
        return;
    };
    assert_eq!(page.evaluate(OPEN_ALL), 10_000);
    // Two frames, so that they are painted.
    page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
    );
    // The time of the page's thread, which does not depend on the load of the machine: from its
    // beginning, with the reading of the data.
    let seconds = page.processor_time();
    assert!(seconds < 2.0, "{seconds}");
    assert_eq!(page.problems, [""; 0]);
}

/// Takes the pictures of the documentation: `PERCOLATE_REPORT=page cargo test … -- --ignored`.
#[test]
#[ignore = "writes docs/images"]
fn the_pictures_of_the_documentation_are_taken() {
    let report = std::env::var("PERCOLATE_REPORT").expect("PERCOLATE_REPORT is the path of a page");
    let mut page = Page::open(Path::new(&report)).expect("Chromium is installed");
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    for (name, size, is_dark) in [
        ("report-light.png", DESK, false),
        ("report-dark.png", DESK, true),
        ("report-phone.png", PHONE, false),
    ] {
        page.show_as(size, is_dark);
        page.evaluate("new Promise((done) => setTimeout(done, 300))");
        let path = images.join(name);
        page.screenshot(&path);
        let bytes = path.metadata().expect("it is there").len();
        assert!(bytes < 300 << 10, "{name} has {bytes} bytes");
    }
    assert_eq!(page.problems, Vec::<Value>::new());
}
