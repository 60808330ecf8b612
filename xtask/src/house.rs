//! House rules that no lint of the compiler knows, as a failing step of `test` and `lint`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::circles;
use crate::steps::must_succeed;

/// Longest file of code; about 500 is the aim, and this is where it fails.
const LINES_MAX: usize = 600;

/// The folders in which `unsafe` may be written.
const UNSAFE_FOLDERS: &[&str] = &["crates/kernel/"];

/// What must not be left in code, and why. Spelled in halves, so that this file keeps its own rules.
const LEFTOVERS: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "finish it, or file an issue"),
    (concat!("FIX", "ME"), "fix it, or file an issue"),
    (concat!("XX", "X"), "say what is meant"),
    (concat!("HA", "CK"), "say what is meant"),
    (concat!("to", "do!"), "finish it"),
    (concat!("unimpl", "emented!"), "finish it"),
    (concat!("#[ign", "ore"), "a test runs, or records why it is skipped"),
    (concat!("fn te", "st_"), "a test's name is a sentence without a prefix"),
];

/// Files of text that these rules hold for; what tests read (broken on purpose, perhaps) is data and exempt.
const EXTENSIONS: &[&str] = &["rs", "toml", "md", "sh", "py", "yml", "yaml"];
const CODE_EXTENSIONS: &[&str] = &["rs", "sh", "py"];
const DATA_FOLDERS: &[&str] = &["/tests/data/", "/tests/golden/", "/snapshots/", "fuzz/corpus/"];

/// Checks every file that git tracks or would.
///
/// # Errors
/// Every line that breaks a rule.
pub(crate) fn check_workspace() -> Result<()> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(crate::root());
    let output = git.output().context("cannot start `git`")?;
    if !output.status.success() {
        // Shows git's own message.
        return must_succeed(&mut git);
    }
    let mut problems = Vec::new();
    let mut crates: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for path in String::from_utf8_lossy(&output.stdout).lines().filter(|path| is_covered(path)) {
        // A file that was deleted but not yet committed is still listed.
        let Ok(text) = fs::read_to_string(crate::root().join(path)) else { continue };
        problems.extend(check(path, &text));
        if let Some(name) = source_of(path) {
            crates.entry(name.to_owned()).or_default().insert(path.to_owned(), text);
        }
    }
    problems.extend(crates.values().flat_map(circles::check));
    if !problems.is_empty() {
        bail!("house rules are broken (see `xtask/src/house.rs`):\n  {}", problems.join("\n  "));
    }
    Ok(())
}

/// Returns the folder of the crate to whose sources a file belongs.
fn source_of(path: &str) -> Option<&str> {
    path.split_once("/src/").map(|(folder, _)| folder).filter(|_| path.ends_with(".rs"))
}

fn is_covered(path: &str) -> bool {
    has_extension(path, EXTENSIONS) && !DATA_FOLDERS.iter().any(|folder| path.contains(folder))
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

/// Every way in which a file breaks the rules, as `path:line: what`.
fn check(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let code = has_extension(path, CODE_EXTENSIONS);
    let lines = text.lines().count();
    if code && lines > LINES_MAX {
        problems.push(format!("{path}: {lines} lines; at most {LINES_MAX}: split it by responsibility"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        problems.push(format!("{path}: the last line does not end"));
    }
    for (number, line) in (1..).zip(text.split_terminator('\n')) {
        let mut problem = |what: String| problems.push(format!("{path}:{number}: {what}"));
        if line.contains('\t') {
            problem("a tab; indent with spaces, write `\\t` in strings".to_owned());
        }
        if line.ends_with([' ', '\t', '\r']) {
            problem("white space at the end of the line".to_owned());
        }
        if !code {
            continue;
        }
        for (leftover, instead) in LEFTOVERS.iter().filter(|(leftover, _)| has_word(line, leftover)) {
            problem(format!("`{leftover}`: {instead}"));
        }
        if path.ends_with(".rs") && !is_unsafe_allowed(path) && is_unsafe(without_comment(line)) {
            problem(format!("`{UNSAFE}` outside `{}`", UNSAFE_FOLDERS.join("`, `")));
        }
    }
    problems
}

const UNSAFE: &str = concat!("un", "safe");

fn is_unsafe_allowed(path: &str) -> bool {
    UNSAFE_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// Whether the keyword stands here, and not a word of prose or of a page's security policy.
fn is_unsafe(code: &str) -> bool {
    let continues = ["{", "(", "fn ", "impl ", "impl<", "trait ", "extern "];
    code.match_indices(UNSAFE).any(|(start, _)| {
        let rest = code[start + UNSAFE.len()..].trim_start();
        has_word(code, UNSAFE) && (rest.is_empty() || continues.iter().any(|next| rest.starts_with(next)))
    })
}

/// The line up to a comment; a `//` inside a string cuts it short too, which no rule here minds.
fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Whether `word` stands in `line` with no letter, digit or underscore running into its ends.
fn has_word(line: &str, word: &str) -> bool {
    let runs_on = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let open_ended = word.ends_with('_');
    line.match_indices(word).any(|(start, _)| {
        let after = line[start + word.len()..].chars().next();
        !runs_on(line[..start].chars().next_back()) && (open_ended || !runs_on(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_catches_its_breach_and_nothing_near_it() {
        let unfinished = LEFTOVERS[0].0;
        let prefixed = LEFTOVERS[7].0;
        let ignored = LEFTOVERS[6].0;
        let rows: &[(&str, String, Option<&str>)] = &[
            ("crates/a/src/lib.rs", "fn whole() {}\n".to_owned(), None),
            ("crates/a/src/lib.rs", String::new(), None),
            ("crates/a/src/lib.rs", format!("// {unfinished}: later\n"), Some(":1: `")),
            ("crates/a/src/lib.rs", format!("let {unfinished}S = 1;\n"), None),
            ("docs/a.md", format!("The rule against `{unfinished}`.\n"), None),
            ("crates/a/src/lib.rs", format!("\n{prefixed}adds() {{}}\n"), Some(":2: `")),
            ("crates/a/src/lib.rs", "fn latest_() {}\n".to_owned(), None),
            ("crates/a/src/lib.rs", format!("{ignored} = \"slow\"]\n"), Some("a test runs")),
            ("crates/a/src/lib.rs", format!("{UNSAFE} {{ }}\n"), Some("outside `crates/kernel/`")),
            ("crates/a/src/lib.rs", format!("// never {UNSAFE}\n#![forbid({UNSAFE}_code)]\n"), None),
            ("crates/a/src/lib.rs", format!("pub {UNSAFE} fn raw() {{}}\n"), Some("outside `crates/kernel/`")),
            ("crates/a/src/lib.rs", format!("const POLICY: &str = \"'{UNSAFE}-inline'\";\n"), None),
            ("crates/kernel/src/lib.rs", format!("{UNSAFE} {{ }}\n"), None),
            ("crates/a/src/lib.rs", "\tlet a = 1;\n".to_owned(), Some("a tab")),
            ("Cargo.toml", "a = 1 \n".to_owned(), Some("white space")),
            ("docs/a.md", "windows\r\n".to_owned(), Some("white space")),
            ("docs/a.md", "unended".to_owned(), Some("does not end")),
            ("crates/a/src/lib.rs", "//\n".repeat(LINES_MAX), None),
            ("crates/a/src/lib.rs", "//\n".repeat(LINES_MAX + 1), Some("601 lines")),
            ("docs/a.md", "a\n".repeat(LINES_MAX + 1), None),
        ];
        for (path, text, expected) in rows {
            let problems = check(path, text);
            match expected {
                None => assert_eq!(problems, Vec::<String>::new(), "{path}: {text}"),
                Some(part) => {
                    assert_eq!(problems.len(), 1, "{path}: {text}: {problems:?}");
                    assert!(problems[0].starts_with(path) && problems[0].contains(part), "{problems:?}");
                }
            }
        }
    }

    #[test]
    fn data_of_tests_and_other_kinds_of_file_are_not_held_to_the_rules() {
        let rows = [
            ("crates/dataset/src/lib.rs", true),
            ("docs/adr/0001-layers.md", true),
            ("crates/dataset/tests/data/broken.toml", false),
            ("crates/report/src/snapshots/page.md", false),
            ("crates/model/tests/model.txt", false),
            ("LICENSE", false),
        ];
        for (path, covered) in rows {
            assert_eq!(is_covered(path), covered, "{path}");
        }
    }
}
