//! The page: blocks in the order in which they were added, verdicts on top.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::Svg;

const STYLE: &str = include_str!("style.css");

/// What browsers may load or run for a page: its own style, by the SHA-256 of its text, and nothing else. Should a text ever
/// escape its escaping, it is inert.
///
/// # Source
/// Content Security Policy Level 3, section 2.3.1, `hash-source`.
const POLICY: &str =
    "default-src 'none'; style-src 'sha256-Ikiau+b+v3GOMlke4fAMHfzSsilfyzKIQVF+gmqaftc='; img-src data:";

/// What a banner says before its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Deliver.
    Good,
    /// A person should look first.
    Warn,
    /// Do not deliver.
    Bad,
}

impl Verdict {
    /// Class, sign and word: a verdict must be legible without its colour.
    fn look(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Verdict::Good => ("good", "✓", "Good"),
            Verdict::Warn => ("warn", "!", "Warning"),
            Verdict::Bad => ("bad", "✕", "Bad"),
        }
    }
}

/// A page under construction.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    subtitle: String,
    verdicts: Vec<(Verdict, String)>,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
enum Block {
    /// Neighbouring figures share a row where the screen is wide enough.
    Figure(Markup),
    Other(Markup),
}

impl Page {
    /// An empty page. An empty subtitle is left out.
    pub fn new(title: &str, subtitle: &str) -> Page {
        Page { title: title.to_string(), subtitle: subtitle.to_string(), verdicts: Vec::new(), blocks: Vec::new() }
    }

    /// A banner; banners stand on top of the page, whenever they were added.
    pub fn verdict(&mut self, verdict: Verdict, text: &str) -> &mut Page {
        self.verdicts.push((verdict, text.to_string()));
        self
    }

    /// Headline numbers, as (label, value); each becomes a tile.
    pub fn facts(&mut self, facts: &[(&str, String)]) -> &mut Page {
        self.push(html! {
            dl.facts {
                @for (label, value) in facts {
                    div { dt { (label) } dd { (value) } }
                }
            }
        })
    }

    /// A table. A column whose cells are all numbers (or absent: empty, `-`) is aligned to the right. Short rows are filled
    /// with empty cells; cells beyond the headers are kept.
    pub fn table(&mut self, headers: &[&str], rows: &[Vec<String>]) -> &mut Page {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0).max(headers.len());
        let numeric: Vec<bool> = (0..columns).map(|column| is_numeric(rows, column)).collect();
        self.push(html! {
            div.scroll {
                table {
                    thead { tr {
                        @for (column, numeric) in numeric.iter().enumerate() {
                            th.number[*numeric] scope="col" { (headers.get(column).unwrap_or(&"")) }
                        }
                    } }
                    tbody {
                        @for row in rows { tr {
                            @for (column, numeric) in numeric.iter().enumerate() {
                                td.number[*numeric] { (row.get(column).map_or("", String::as_str)) }
                            }
                        } }
                    }
                }
            }
        })
    }

    /// Starts a section. An empty note is left out.
    pub fn section(&mut self, title: &str, note: &str) -> &mut Page {
        self.push(html! {
            h2 { (title) }
            @if !note.is_empty() { p.note { (note) } }
        })
    }

    /// A picture and what it shows.
    pub fn figure(&mut self, picture: Svg, caption: &str) -> &mut Page {
        self.blocks.push(Block::Figure(html! {
            figure {
                (PreEscaped(picture.0))
                @if !caption.is_empty() { figcaption { (caption) } }
            }
        }));
        self
    }

    /// The whole HTML file.
    pub fn render(&self) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (self.title) }
                        @if !self.subtitle.is_empty() { p { (self.subtitle) } }
                    }
                    main {
                        @for (verdict, text) in &self.verdicts { (banner(*verdict, text)) }
                        @for group in self.blocks.chunk_by(|a, b| a.is_figure() && b.is_figure()) { (together(group)) }
                    }
                }
            }
        }
        .into_string()
    }

    fn push(&mut self, markup: Markup) -> &mut Page {
        self.blocks.push(Block::Other(markup));
        self
    }
}

impl Block {
    fn is_figure(&self) -> bool {
        matches!(self, Block::Figure(_))
    }
}

fn banner(verdict: Verdict, text: &str) -> Markup {
    let (class, sign, word) = verdict.look();
    html! {
        div.verdict.(class) {
            span.sign aria-hidden="true" { (sign) }
            p { strong { (word) } " " (text) }
        }
    }
}

fn together(group: &[Block]) -> Markup {
    html! {
        @if group.iter().all(Block::is_figure) {
            div.figures.alone[group.len() == 1] {
                @for block in group { @if let Block::Figure(markup) = block { (markup) } }
            }
        } @else {
            @for block in group { @if let Block::Other(markup) = block { (markup) } }
        }
    }
}

fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    let mut numbers = 0;
    for cell in rows.iter().filter_map(|row| row.get(column)) {
        let text = cell.trim().trim_start_matches(['-', '+', '−', '±', '<', '>', '~']);
        if text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains(char::is_alphabetic) {
            numbers += 1;
        } else if !text.is_empty() && text != "NaN" {
            return false;
        }
    }
    numbers > 0
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::plot::{self, well_formed};

    fn full(text: &str) -> String {
        Page::new(text, text)
            .facts(&[(text, text.to_string())])
            .section(text, text)
            .table(&[text], &[vec![text.to_string(), "1".to_string()], vec![]])
            .figure(plot::bars(text, &[(text, 1.0)]), text)
            .verdict(Verdict::Bad, text)
            .render()
    }

    /// RFC 4648, section 4, of 32 bytes.
    fn base64(bytes: &[u8]) -> String {
        const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
        let sextets = bits.as_bytes().chunks(6).map(|bits| format!("{:0<6}", String::from_utf8_lossy(bits)));
        let signs = sextets.map(|bits| char::from(SIGNS[usize::from_str_radix(&bits, 2).expect("six bits")]));
        signs.chain(std::iter::once('=')).collect()
    }

    #[test]
    fn the_policy_allows_the_pages_own_style_and_no_other() {
        let expected = format!("style-src 'sha256-{}'", base64(&Sha256::digest(STYLE)));
        assert!(POLICY.contains(&expected), "the style has changed; the policy needs {expected}");
        // What the policy would block: styles of elements of their own.
        let page = full("text");
        assert!(page.matches("<style").count() == 1 && !page.contains(" style="), "{page}");
    }

    #[test]
    fn every_text_is_escaped_wherever_it_stands() {
        for text in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "</style></svg></title>&amp;",
            "'\u{0}\u{7}\u{202e}",
        ] {
            let page = full(text);
            well_formed(&page);
            for forbidden in ["<script", "<img", "&amp;</"] {
                assert!(!page.contains(forbidden), "{forbidden} in {page}");
            }
        }
    }

    #[test]
    fn a_page_refers_to_nothing_outside_itself() {
        let page = full("text");
        for reference in ["src=", "http://", "https://", "url(", "@import", "<script"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }

    #[test]
    fn the_same_calls_give_the_same_bytes() {
        assert_eq!(full("ctr"), full("ctr"));
    }

    #[test]
    fn an_empty_page_is_a_page() {
        let page = Page::new("", "").table(&[], &[]).facts(&[]).render();
        well_formed(&page);
        assert!(page.starts_with("<!DOCTYPE html>"));
    }

    #[test]
    fn verdicts_stand_on_top_and_speak_without_colour() {
        let page = Page::new("t", "").section("first", "").verdict(Verdict::Warn, "look at it").render();
        assert!(page.find("look at it") < page.find("first"));
        assert!(page.contains("<strong>Warning</strong> look at it"));
    }

    #[test]
    fn only_columns_of_numbers_are_aligned_to_the_right() {
        let check = |cells: &[&str], expected: bool| {
            let rows: Vec<Vec<String>> = cells.iter().map(|cell| vec![cell.to_string()]).collect();
            assert_eq!(is_numeric(&rows, 0), expected, "{cells:?}");
        };
        check(&["1", "2.5", "-3", "1,000", "4.2%"], true);
        check(&["1", "", "-"], true);
        check(&["1", "one"], false);
        check(&["2026-11-24", "7 days"], false);
        check(&["", "-"], false);
        check(&[], false);
    }

    #[test]
    fn neighbouring_figures_share_a_row() {
        let picture = || plot::bars("gain", &[("a", 1.0)]);
        let page = Page::new("t", "")
            .figure(picture(), "")
            .figure(picture(), "")
            .section("s", "")
            .figure(picture(), "")
            .render();
        assert_eq!(page.matches("<div class=\"figures\">").count(), 1);
        assert_eq!(page.matches("<div class=\"figures alone\">").count(), 1);
    }
}
