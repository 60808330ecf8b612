//! A house rule: no two files of a crate import from each other, not even by way of others.
//!
//! Imports are read as text: `use` statements, and paths in code that begin with `crate`, `self`, `super` or a child
//! module. A name that a file re-exports leads to the file that defines it. Tests are left out, and so is what a file
//! uses of the modules that contain it: a module and its parts are one.

use std::collections::{BTreeMap, BTreeSet};

/// A file whose name has this part is the vector half of a scalar file, and the two may use each other.
const VECTOR_HALF: &str = "avx";

/// Re-exports of re-exports are followed this far; no crate of ours comes close.
const HOPS_MAX: usize = 16;

/// The code of one file, and the names that it brings into scope.
#[derive(Debug)]
struct File {
    code: String,
    /// Names of child modules, with their files.
    children: BTreeMap<String, String>,
    /// The file that declares this one; `None` for the root of the crate.
    parent: Option<String>,
    /// Imported names, with the paths they stand for.
    imports: BTreeMap<String, Vec<String>>,
}

/// Returns a line for each circle among a crate's files, given by path and text.
pub(crate) fn check(texts: &BTreeMap<String, String>) -> Vec<String> {
    let files = read(texts);
    let uses: BTreeMap<&str, BTreeSet<String>> =
        files.iter().map(|(path, file)| (path.as_str(), used_files(&files, path, file))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses.keys().map(|path| (*path, reachable(&uses, path))).collect();
    let mut problems = Vec::new();
    let mut told = BTreeSet::new();
    for path in uses.keys() {
        let circle: Vec<&str> = reached[path].iter().copied().filter(|other| reached[other].contains(path)).collect();
        if circle.len() < 2 || is_vector_pair(&circle) || !told.insert(circle.clone()) {
            continue;
        }
        problems.push(format!("{path}: imports in a circle: {}", circle.join(", ")));
    }
    problems
}

/// Returns whether a circle is a scalar file and its vector half.
fn is_vector_pair(circle: &[&str]) -> bool {
    circle.len() == 2 && circle.iter().filter(|path| path.contains(VECTOR_HALF)).count() == 1
}

/// Returns the files that are reached from `start` by at least one import.
fn reachable<'a>(uses: &'a BTreeMap<&str, BTreeSet<String>>, start: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(path) = open.pop() {
        for next in uses.get(path).into_iter().flatten() {
            if reached.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    reached
}

/// Reads the files that are modules, from the root of the crate down.
fn read(texts: &BTreeMap<String, String>) -> BTreeMap<String, File> {
    let roots = texts.keys().filter(|path| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs"));
    let mut open: Vec<(String, Option<String>)> = roots.map(|root| (root.clone(), None)).collect();
    let mut files = BTreeMap::new();
    while let Some((path, parent)) = open.pop() {
        let Some(text) = texts.get(&path) else { continue };
        let code = without_tests(text);
        let mut children = BTreeMap::new();
        for name in declared_modules(&code) {
            let folder = module_folder(&path);
            let candidates = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
            if let Some(child) = candidates.into_iter().find(|candidate| texts.contains_key(candidate)) {
                open.push((child.clone(), Some(path.clone())));
                children.insert(name, child);
            }
        }
        let imports = imports(&code);
        files.insert(path, File { code, children, parent, imports });
    }
    files
}

/// Returns the folder in which the child modules of a file are.
fn module_folder(path: &str) -> &str {
    ["/lib.rs", "/main.rs", "/mod.rs", ".rs"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path)
}

/// Returns the code without comments and without the tests, which come last in a file.
fn without_tests(text: &str) -> String {
    let text = match text.match_indices("#[cfg(test)]").find(|(at, _)| is_inline_module(&text[*at..])) {
        Some((at, _)) => &text[..at],
        None => text,
    };
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Returns whether the item behind a `#[cfg(test)]` is a module with a body.
fn is_inline_module(item: &str) -> bool {
    let mut lines = item.lines().skip_while(|line| line.starts_with("#["));
    lines.next().is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
}

/// Returns the names of the modules that are files of their own, without those for tests alone.
fn declared_modules(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut for_tests = false;
    for line in code.lines() {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        if words.next() == Some("mod") && !for_tests {
            names.extend(words.next().and_then(|name| name.strip_suffix(';')).map(str::to_owned));
        }
        // Other attributes may stand between.
        for_tests = line.trim() == "#[cfg(test)]" || for_tests && line.trim().starts_with("#[");
    }
    names
}

/// Returns the names that `use` statements bring into scope, each with its path.
fn imports(code: &str) -> BTreeMap<String, Vec<String>> {
    let mut imports = BTreeMap::new();
    for statement in use_statements(code) {
        for (name, path) in expanded(statement, &[]) {
            imports.insert(name, path);
        }
    }
    imports
}

/// Returns the text between each `use` and its semicolon.
fn use_statements(code: &str) -> Vec<&str> {
    let starts = code.match_indices("use ").filter(|(at, _)| {
        let line = code[..*at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || line.starts_with("pub")
    });
    starts.filter_map(|(at, found)| code[at + found.len()..].split(';').next()).collect()
}

/// Expands `a::{b, c as d}` to the names `b` and `d` with their paths.
fn expanded(tree: &str, prefix: &[String]) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    let mut path = prefix.to_vec();
    let Some((head, inside)) = tree.split_once('{') else {
        let (route, alias) = tree.split_once(" as ").map_or((tree, None), |(route, alias)| (route, Some(alias)));
        path.extend(segments(route).filter(|segment| segment != "self" || path.is_empty()).collect::<Vec<_>>());
        let name = alias.map(|alias| alias.trim().to_owned()).or_else(|| path.last().cloned());
        return name.map(|name| (name, path)).into_iter().collect();
    };
    path.extend(segments(head));
    let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
    split_at_commas(inside).into_iter().flat_map(|branch| expanded(branch, &path)).collect()
}

fn segments(route: &str) -> impl Iterator<Item = String> {
    route.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned)
}

/// Splits at the commas that are not inside braces.
fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Returns the other files of the crate that a file uses.
fn used_files(files: &BTreeMap<String, File>, path: &str, file: &File) -> BTreeSet<String> {
    let routes = file.imports.values().cloned().chain(paths_in_code(file));
    let mut used: BTreeSet<String> = routes.filter_map(|route| definition(files, path, &route, 0)).collect();
    used.remove(path);
    let mut parent = file.parent.as_ref();
    while let Some(ancestor) = parent {
        used.remove(ancestor);
        parent = files[ancestor].parent.as_ref();
    }
    used
}

/// Returns the paths in a file's code that begin with `crate`, `self`, `super` or a child module.
fn paths_in_code(file: &File) -> Vec<Vec<String>> {
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let words = file.code.split(|letter| !is_path(letter)).filter(|word| word.contains("::"));
    // A group's path, `a::b::` before a brace, names no item: the items of the group are imports.
    let words = words.filter(|word| !word.ends_with("::"));
    let routes = words.map(|word| segments(word).collect::<Vec<_>>());
    let is_ours =
        |first: &String| ["crate", "self", "super"].contains(&first.as_str()) || file.children.contains_key(first);
    routes.filter(|route| route.first().is_some_and(is_ours)).collect()
}

/// Returns the file that defines what a path in `from` names, or `None` if it is not of this crate.
fn definition(files: &BTreeMap<String, File>, from: &str, route: &[String], hops: usize) -> Option<String> {
    let mut here = from;
    let mut rest = route;
    match rest.first()?.as_str() {
        "crate" => {
            while let Some(parent) = &files[here].parent {
                here = parent;
            }
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while let Some(("super", after)) = rest.split_first().map(|(first, after)| (first.as_str(), after)) {
                here = files[here].parent.as_ref()?;
                rest = after;
            }
        }
        first if files[here].children.contains_key(first) => {}
        _ => return None,
    }
    while let Some((segment, after)) = rest.split_first() {
        if let Some(child) = files[here].children.get(segment) {
            (here, rest) = (child, after);
            continue;
        }
        let Some(import) = files[here].imports.get(segment).filter(|_| hops < HOPS_MAX) else { break };
        return definition(files, here, &[import, after].concat(), hops + 1);
    }
    Some(here.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_files(files: &[(&str, &str)]) -> Vec<String> {
        check(&files.iter().map(|(path, text)| (format!("crates/a/src/{path}"), (*text).to_owned())).collect())
    }

    #[test]
    fn a_circle_is_found_however_it_is_written() {
        let rows: &[&[(&str, &str)]] = &[
            &[("lib.rs", "mod x;\nmod y;\n"), ("x.rs", "use super::y::Y;\n"), ("y.rs", "use crate::{x::{X, Z}};\n")],
            &[
                ("main.rs", "mod x;\nmod y;\n"),
                ("x/mod.rs", "pub(crate) mod z;\npub(crate) use z::Z;\n"),
                ("x/z.rs", "use crate::y::Y;\n"),
                ("y.rs", "use super::x::Z as Other;\n"),
            ],
        ];
        for files in rows {
            let problems = check_files(files);
            assert_eq!(problems.len(), 1, "{files:?}: {problems:?}");
            assert!(problems[0].contains("imports in a circle: crates/a/src/"), "{problems:?}");
        }
    }

    #[test]
    fn what_only_looks_like_a_circle_is_none() {
        let rows: &[&[(&str, &str)]] = &[
            // The root only passes on what another file defines.
            &[
                ("lib.rs", "mod error;\nmod x;\npub use error::Error;\npub use x::X;\n"),
                ("error.rs", "pub struct Error;\n"),
                ("x.rs", "use super::Error;\nuse std::fmt;\n"),
            ],
            // A module and its part.
            &[("lib.rs", "mod x;\npub struct A;\nfn f() { x::g() }\n"), ("x.rs", "use super::A;\n")],
            &[("lib.rs", "mod x;\nuse x::{self, B};\npub struct A;\n"), ("x.rs", "fn g(_: crate::A) {}\n")],
            // Tests may look at anything.
            &[
                ("lib.rs", "mod x;\nuse x::X;\n#[cfg(test)]\nmod tests;\npub struct A;\n"),
                ("tests.rs", "use super::A;\n"),
                ("x.rs", "#[cfg(test)]\nmod tests {\n    use crate::A;\n}\n"),
            ],
            &[("lib.rs", "mod x;\nuse x::X;\npub struct A;\n"), ("x.rs", "// Not as in `super::A`.\n")],
            // A scalar loop and its vector half.
            &[
                ("lib.rs", "mod sum;\nmod sum_avx512;\n"),
                ("sum.rs", "use crate::sum_avx512;\n"),
                ("sum_avx512.rs", "use super::sum::Lanes;\n"),
            ],
        ];
        for files in rows {
            assert_eq!(check_files(files), Vec::<String>::new(), "{files:?}");
        }
    }

    #[test]
    fn a_tree_of_imports_is_expanded() {
        let names: Vec<_> = expanded("super::{a, b::{self, C as D}, e::*}", &[]).into_iter().collect();
        let shown: Vec<String> = names.iter().map(|(name, path)| format!("{name}={}", path.join("::"))).collect();
        assert_eq!(shown, ["a=super::a", "b=super::b", "D=super::b::C", "*=super::e::*"]);
    }
}
