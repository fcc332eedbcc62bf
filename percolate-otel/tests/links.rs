//! Every link in the repository's Markdown pages has a target: a file, and a heading in it.
//!
//! Links to other sites are only checked for their form: the test needs no network. Links to Rust items,
//! which rustdoc resolves in pages that it includes, are rustdoc's to check.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

#[test]
fn every_link_in_a_page_has_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = Pages::new();
    read(&root, Path::new(""), &mut pages);
    assert!(pages.contains_key(Path::new("README.md")));
    assert!(pages.contains_key(Path::new("docs/design.md")));

    let exists = |path: &Path| root.join(path).exists();
    let problems: Vec<String> = pages
        .keys()
        .flat_map(|page| problems(page, &pages, &exists))
        .collect();
    assert!(
        problems.is_empty(),
        "broken links; correct the target, or the heading that it names:\n{}",
        problems.join("\n")
    );
}

#[test]
fn pages_of_the_documentation_link_only_to_each_other() {
    // The book and the documentation of the crate have no other files.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = Pages::new();
    read(&root, Path::new("docs"), &mut pages);
    for (page, text) in &pages {
        let text = without_code(text);
        let leaving: Vec<String> = definitions(&text)
            .into_values()
            .chain(targets(&text))
            .filter(|target| target.starts_with(".."))
            .collect();
        assert!(
            leaving.is_empty(),
            "{} links to files outside of docs/: {leaving:?}; name them without a link",
            page.display()
        );
    }
}

#[test]
fn the_book_has_every_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = Pages::new();
    read(&root, Path::new("docs"), &mut pages);
    let summary = pages
        .remove(Path::new("docs/SUMMARY.md"))
        .expect("the book has a summary");
    let mut chapters: Vec<PathBuf> = targets(&summary)
        .iter()
        .map(|target| Path::new("docs").join(target))
        .collect();
    chapters.sort();
    assert_eq!(
        chapters,
        pages.into_keys().collect::<Vec<_>>(),
        "docs/SUMMARY.md lists each page of docs/ once"
    );
}

#[test]
fn pages_of_the_manual_refer_to_each_other_by_labels_that_rustdoc_replaces() {
    let manual = include_str!("../src/manual.rs");
    let mut count = 0;
    for entry in manual.split("\npage!(").skip(1) {
        let mut strings = entry.split('"').skip(1).step_by(2);
        let name = strings.next().expect("the name of the file comes first");
        let mut labels: Vec<&str> = strings.step_by(2).collect();
        labels.sort_unstable();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let page = fs::read_to_string(path.join(name)).expect("the page is there");
        let page = without_code(&page);
        let defined: Vec<String> = definitions(&page).into_keys().collect();
        assert_eq!(
            labels, defined,
            "the labels of docs/{name} and those in src/manual.rs differ"
        );
        let mut direct = targets(&page);
        direct.retain(|target| target.contains(".md"));
        assert!(
            direct.is_empty(),
            "docs/{name} links to files, which rustdoc does not have: {direct:?}; write `[text][page]`, and \
             define the label at the end of the page and in src/manual.rs"
        );
        count += 1;
    }
    assert_eq!(count, 7, "every `page!` of src/manual.rs is checked");
}

#[test]
fn a_broken_link_is_found_and_named() {
    let mut pages = Pages::new();
    let guide = "# The guide\n\n## `record!` and *more*\n\n## Notes\n\n## Notes\n\n\
                 ```text\n# no heading, and [no link](nowhere.md)\n```\n\n<a id=\"old\"></a>\n";
    pages.insert("docs/guide.md".into(), guide.to_owned());
    let problems_of = |text: &str| {
        let mut pages = pages.clone();
        pages.insert("docs/page.md".into(), text.to_owned());
        let exists = |path: &Path| path == Path::new("README.md");
        problems(Path::new("docs/page.md"), &pages, &exists)
    };
    for sound in [
        "[a](guide.md) and `[code](nowhere.md)`, [b](guide.md#record-and-more) ![](../README.md)",
        "[a](guide.md#notes) [b](guide.md#notes-1) [c](guide.md#old)",
        "# Here\n[a](#here), [b][there], [there]\n\n[there]: guide.md#the-guide",
        "[a][there]: a line\n\n[there]: guide.md",
        "<a href=\"https://example.com/a?b=c#d\">a</a> [`Item`] [b](https://example.com)",
        "<source srcset=\"../README.md\"> [x](guide.md \"a title\")",
    ] {
        assert_eq!(problems_of(sound), [""; 0], "{sound}");
    }
    for (broken, message) in [
        (
            "[a\nb](nowhere.md)",
            "docs/page.md: nowhere.md: docs/nowhere.md does not exist",
        ),
        (
            "[a](guide.md#nothing)",
            "docs/page.md: guide.md#nothing: docs/guide.md has no heading with this anchor",
        ),
        (
            "[a](#here)",
            "docs/page.md: #here: docs/page.md has no heading with this anchor",
        ),
        (
            "[a](../../README.md)",
            "docs/page.md: ../../README.md: the path leaves the repository",
        ),
        (
            "[a](/README.md)",
            "docs/page.md: /README.md: the path is absolute",
        ),
        (
            "[a](http://example.com)",
            "docs/page.md: http://example.com: a link to another site starts with `https://` and a host",
        ),
        (
            "[a](https:///b)",
            "docs/page.md: https:///b: a link to another site starts with `https://` and a host",
        ),
        (
            "[a][there]",
            "docs/page.md: there: the page does not define this label",
        ),
        (
            "[there]: guide.md",
            "docs/page.md: there: no link uses this label",
        ),
        (
            "<img src=\"gone.png\">",
            "docs/page.md: gone.png: docs/gone.png does not exist",
        ),
    ] {
        assert_eq!(problems_of(broken), [message]);
    }
}

/// Text by path below the repository's root.
type Pages = BTreeMap<PathBuf, String>;

/// Reads the pages of a folder, without build products and without the folders that are links to others.
fn read(root: &Path, folder: &Path, pages: &mut Pages) {
    for entry in fs::read_dir(root.join(folder)).expect("the folder is readable") {
        let entry = entry.expect("the entry is readable");
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().expect("the entry has a type");
        let path = folder.join(&name);
        let is_source = name == ".github" || !name.starts_with('.') && name != "target";
        if kind.is_dir() && is_source {
            read(root, &path, pages);
        } else if kind.is_file() && path.extension().is_some_and(|it| it == "md") {
            let text = fs::read_to_string(root.join(&path)).expect("the page is UTF-8");
            pages.insert(path, text);
        }
    }
}

/// The problems of a page's links. `exists` is for files that are not pages.
fn problems(page: &Path, pages: &Pages, exists: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let text = without_code(&pages[page]);
    let mut found = Vec::new();
    let mut report = |link: &str, problem: &str| {
        let page = page.display().to_string().replace('\\', "/");
        found.push(format!("{page}: {link}: {problem}"));
    };
    let definitions = definitions(&text);
    for target in definitions.values().cloned().chain(targets(&text)) {
        if let Err(problem) = check(&target, page, pages, exists) {
            report(&target, &problem);
        }
    }
    for label in labels(&text) {
        if !definitions.contains_key(&label) {
            report(&label, "the page does not define this label");
        }
    }
    for label in definitions.keys() {
        // `[label]`, `[text][label]`, or `[label][]`.
        let uses = text.to_lowercase().matches(&format!("[{label}]")).count();
        if uses < 2 {
            report(label, "no link uses this label");
        }
    }
    found
}

fn check(
    target: &str,
    page: &Path,
    pages: &Pages,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<(), String> {
    if target.contains("://") {
        let host = target.strip_prefix("https://").unwrap_or_default();
        return match host.chars().next() {
            Some(first) if first.is_alphanumeric() && !target.contains(char::is_whitespace) => {
                Ok(())
            }
            _ => Err("a link to another site starts with `https://` and a host".to_owned()),
        };
    }
    if target.starts_with('/') {
        return Err("the path is absolute".to_owned());
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        page.to_owned()
    } else {
        let folder = page.parent().expect("a page is in a folder");
        normalised(&folder.join(path)).ok_or("the path leaves the repository")?
    };
    let shown = path.display().to_string().replace('\\', "/");
    match pages.get(&path) {
        None if !exists(&path) => Err(format!("{shown} does not exist")),
        None if !anchor.is_empty() => Err(format!("{shown} is not a page with headings")),
        Some(text) if !anchor.is_empty() && !anchors(text).iter().any(|it| it == anchor) => {
            Err(format!("{shown} has no heading with this anchor"))
        }
        _ => Ok(()),
    }
}

/// The path without `.` and `..`, if it stays below the root.
fn normalised(path: &Path) -> Option<PathBuf> {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::CurDir => {}
            _ if result.pop() => {}
            _ => return None,
        }
    }
    Some(result)
}

/// The text without fenced blocks and without code in lines. A heading keeps its code, which is part of its
/// anchor.
fn without_code(text: &str) -> String {
    let mut kept = String::new();
    let mut is_code = false;
    for (place, part) in without_fences(text).split('`').enumerate() {
        // A link's text or label may be code: `[`item`]`. Brackets inside of code are no links.
        if place > 0 {
            kept.push('`');
            is_code = !is_code;
        }
        if is_code {
            kept.extend(part.chars().filter(|c| !"[]()<>".contains(*c)));
        } else {
            kept.push_str(part);
        }
    }
    kept
}

fn without_fences(text: &str) -> String {
    let mut kept = String::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let start = line.trim_start();
        match fence {
            Some(end) if start.starts_with(end) => fence = None,
            Some(_) => {}
            None if start.starts_with("````") => fence = Some("````"),
            None if start.starts_with("```") => fence = Some("```"),
            None => {
                kept.push_str(line);
                kept.push('\n');
            }
        }
    }
    kept
}

/// `[label]: target`, by the label in lower case.
fn definitions(text: &str) -> BTreeMap<String, String> {
    let definition = |line: &str| {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        (!label.contains(']')).then(|| (label.to_lowercase(), target.trim().to_owned()))
    };
    text.lines().filter_map(definition).collect()
}

/// The labels of `[text][label]`, in lower case.
fn labels(text: &str) -> Vec<String> {
    let label = |rest: &str| Some(rest.split_once(']')?.0.to_lowercase());
    let mut labels: Vec<String> = text.split("][").skip(1).filter_map(label).collect();
    labels.retain(|label| !label.is_empty());
    labels
}

/// The targets of `[text](target)`, and of `href`, `src` and `srcset` in HTML.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, end) in [
        ("](", ')'),
        (" href=\"", '"'),
        (" src=\"", '"'),
        (" srcset=\"", '"'),
    ] {
        for rest in text.split(start).skip(1) {
            let target = rest.split(end).next().unwrap_or_default();
            // A title follows in quotes.
            let target = target.split(" \"").next().unwrap_or_default();
            found.push(target.trim().to_owned());
        }
    }
    found
}

/// The anchors of a page: of its headings, as GitHub, rustdoc and mdBook derive them, and `id`s in HTML.
fn anchors(text: &str) -> Vec<String> {
    let text = without_fences(text);
    let mut anchors = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines() {
        let title = line.trim_start_matches('#');
        if title.len() < line.len() && title.starts_with(' ') {
            let slug = slug(title.trim());
            let count = counts.entry(slug.clone()).or_default();
            anchors.push(match *count {
                0 => slug,
                count => format!("{slug}-{count}"),
            });
            *count += 1;
        }
        for rest in line.split(" id=\"").skip(1) {
            anchors.extend(rest.split('"').next().map(str::to_owned));
        }
    }
    anchors
}

fn slug(title: &str) -> String {
    // Of a link in a heading, only the text counts.
    let mut visible = String::new();
    for (place, part) in title.split("](").enumerate() {
        let part = match place {
            0 => part,
            _ => part.split_once(')').map_or("", |(_, rest)| rest),
        };
        visible.push_str(part);
    }
    visible
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
