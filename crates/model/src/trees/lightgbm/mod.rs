//! Reads LightGBM's text format.
//!
//! # Source
//! LightGBM 4, `src/boosting/gbdt_model_text.cpp`, `src/io/tree.cpp`, `include/LightGBM/tree.h`.

mod error;
mod pandas;
mod read_tree;
mod section;

use super::ir::{Ensemble, Feature, FeatureKind, Link, Parts, SumWidth};
use error::excerpt;
pub use error::{Kind, ParseError};
use read_tree::tree;
use section::{Entry, Lines, Section};

/// Reads a LightGBM text model (`Booster.save_model`, `model_to_string`, the CLI's `model.txt`).
///
/// # Errors
/// [`Kind::Unsupported`](Kind) for models that predict no probability of a click (multi-class, ranking, regression,
/// custom objectives) or format versions other than v2 to v4; [`Kind::Malformed`](Kind) for anything damaged.
/// # Source
/// LightGBM, `GBDT::LoadModelFromString`.
pub fn parse(text: &[u8]) -> Result<Ensemble, ParseError> {
    let lines = &mut Lines::new(text);
    let mut header = header(lines)?;
    let mut trees = Vec::new();
    while header.next == Next::Tree {
        let section = section(lines)?;
        trees.push(tree(&section, header.features.len())?);
        header.next = next(lines)?;
    }
    if trees.is_empty() {
        return Err(ParseError::malformed(lines.number(), "the model has no trees"));
    }
    if let Some(sizes) = header.tree_sizes
        && sizes.value.split_ascii_whitespace().count() != trees.len()
    {
        return Err(sizes.error(format!("the file has {} trees, but not as many sizes", trees.len())));
    }
    let mut features = header.features;
    tail(lines, &mut features)?;
    let Header { link, average_output, .. } = header;
    let parts = Parts { features, trees, base_score: 0.0, sum: SumWidth::F64, link, average_output };
    Ensemble::new(parts).map_err(|invalid| ParseError::malformed(lines.number(), invalid.to_string()))
}

struct Header<'a> {
    features: Vec<Feature>,
    link: Link,
    average_output: bool,
    tree_sizes: Option<Entry<'a>>,
    next: Next,
}

/// What follows a section.
#[derive(PartialEq)]
enum Next {
    Tree,
    EndOfTrees,
}

fn header<'a>(lines: &mut Lines<'a>) -> Result<Header<'a>, ParseError> {
    match lines.next_line()? {
        Some("tree") => {}
        Some(_) => {
            return Err(ParseError::malformed(1, "the first line is not `tree`: this is no LightGBM text model"));
        }
        None => return Err(ParseError::malformed(1, "the file is empty")),
    }
    let section = section(lines)?;
    version(&section)?;
    let link = link(&section)?;
    one_class(&section)?;
    Ok(Header {
        features: features(&section)?,
        link,
        average_output: section.find("average_output").is_some(),
        tree_sizes: section.find("tree_sizes"),
        next: next(lines)?,
    })
}

/// Reads lines up to a blank one.
fn section<'a>(lines: &mut Lines<'a>) -> Result<Section<'a>, ParseError> {
    let mut section = Section::new(lines.number());
    while let Some(line) = lines.next_line()? {
        if line.is_empty() {
            return Ok(section);
        }
        section.push(lines.number(), line)?;
    }
    Err(truncated(lines))
}

/// Skips blank lines and reads the line that says what comes.
fn next(lines: &mut Lines<'_>) -> Result<Next, ParseError> {
    while let Some(line) = lines.next_line()? {
        if line.starts_with("Tree=") {
            return Ok(Next::Tree);
        }
        if line == "end of trees" {
            return Ok(Next::EndOfTrees);
        }
        if !line.is_empty() {
            let found = excerpt(line);
            return Err(ParseError::malformed(
                lines.number(),
                format!("`{found}` where `Tree=` or `end of trees` belongs"),
            ));
        }
    }
    Err(truncated(lines))
}

fn truncated(lines: &Lines<'_>) -> ParseError {
    ParseError::malformed(lines.number().max(1), "the file ends before `end of trees`: it is truncated")
}

fn version(section: &Section<'_>) -> Result<(), ParseError> {
    let entry = section.require("version")?;
    if matches!(entry.value, "v2" | "v3" | "v4") {
        return Ok(());
    }
    let found = excerpt(entry.value);
    Err(ParseError::unsupported(entry.line, format!("format version `{found}`; v2, v3 and v4 are read")))
}

fn link(section: &Section<'_>) -> Result<Link, ParseError> {
    const ADVICE: &str = "a click-through rate needs `binary` or `cross_entropy`";
    let Some(entry) = section.find("objective") else {
        let line = section.require("version")?.line;
        return Err(ParseError::unsupported(line, format!("the model names no objective (a custom one?); {ADVICE}")));
    };
    let mut words = entry.value.split_ascii_whitespace();
    let name = words.next().unwrap_or("");
    let refuse = |what: &str| {
        Err(ParseError::unsupported(entry.line, format!("{what} objective `{}`; {ADVICE}", excerpt(entry.value))))
    };
    match name {
        "binary" => {
            let mut slope = 1.0;
            for word in words {
                slope = match word.strip_prefix("sigmoid:").and_then(|number| number.parse::<f64>().ok()) {
                    Some(slope) if slope.is_finite() && slope > 0.0 => slope,
                    _ => return Err(entry.error(format!("`{}` is no `sigmoid:` and a positive number", excerpt(word)))),
                };
            }
            Ok(Link::Binary { slope })
        }
        "cross_entropy" => match words.next() {
            None => Ok(Link::CrossEntropy),
            Some(word) => Err(entry.error(format!("unknown setting `{}`", excerpt(word)))),
        },
        "multiclass" | "multiclassova" => refuse("multi-class"),
        "lambdarank" | "rank_xendcg" => refuse("ranking"),
        "regression" | "regression_l1" | "huber" | "fair" | "poisson" | "quantile" | "mape" | "gamma" | "tweedie" => {
            refuse("regression")
        }
        _ => refuse("unknown"),
    }
}

fn one_class(section: &Section<'_>) -> Result<(), ParseError> {
    for key in ["num_class", "num_tree_per_iteration"] {
        let entry = section.require(key)?;
        if entry.number::<u64>()? != 1 {
            let found = excerpt(entry.value);
            return Err(ParseError::unsupported(
                entry.line,
                format!("`{key}={found}`: a multi-class model predicts no click-through rate"),
            ));
        }
    }
    Ok(())
}

fn features(section: &Section<'_>) -> Result<Vec<Feature>, ParseError> {
    let last = section.require("max_feature_idx")?;
    let index_max = last.number::<u32>()?;
    let names = section.require("feature_names")?;
    let mut features: Vec<Feature> = names
        .value
        .split(' ')
        .map(|name| Feature { name: name.to_owned(), kind: FeatureKind::Numeric, categories: None })
        .collect();
    if features.len() as u64 != u64::from(index_max) + 1 {
        return Err(names.error(format!("{} names, but `max_feature_idx` is {index_max}", features.len())));
    }
    if let Some(infos) = section.find("feature_infos") {
        let mut words = infos.value.split_ascii_whitespace();
        for feature in &mut features {
            feature.kind = match words.next() {
                None => return Err(infos.error("fewer entries than there are features")),
                Some("none") => FeatureKind::Unused,
                Some(range) if range.starts_with('[') => FeatureKind::Numeric,
                Some(_) => FeatureKind::Categorical,
            };
        }
        if words.next().is_some() {
            return Err(infos.error("more entries than there are features"));
        }
    }
    Ok(features)
}

/// Reads what follows the trees: of the parameters only which columns are categorical, and the pandas categories.
fn tail(lines: &mut Lines<'_>, features: &mut [Feature]) -> Result<(), ParseError> {
    let mut in_parameters = false;
    let mut indices: Option<Vec<usize>> = None;
    while let Some(line) = lines.next_line()? {
        if line == "parameters:" {
            in_parameters = true;
        } else if line == "end of parameters" {
            in_parameters = false;
        } else if in_parameters && let Some(value) = line.strip_prefix("[categorical_feature: ") {
            // The CLI's `name:a,b` form is left to `feature_infos`.
            indices = value.strip_suffix(']').and_then(categorical_indices);
        } else if !in_parameters && let Some(json) = line.strip_prefix("pandas_categorical:") {
            pandas::assign(features, indices.as_deref(), json, lines.number())?;
        }
    }
    if in_parameters {
        return Err(ParseError::malformed(lines.number(), "the file ends before `end of parameters`: it is truncated"));
    }
    Ok(())
}

fn categorical_indices(text: &str) -> Option<Vec<usize>> {
    let mut indices = text.split(',').map(|index| index.parse().ok()).collect::<Option<Vec<usize>>>()?;
    indices.sort_unstable();
    indices.dedup();
    Some(indices)
}
