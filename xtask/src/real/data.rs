//! Reads the real files and writes them as one training and one test CSV with a schema.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use csv::{ReaderBuilder, StringRecord, Writer};
use flate2::read::GzDecoder;

use crate::root;

/// A table with its label apart.
#[derive(Debug)]
pub(crate) struct Rows {
    /// Names and kinds.
    columns: Vec<(String, &'static str)>,
    values: Vec<StringRecord>,
    pub(crate) labels: Vec<bool>,
}

const LABEL: &str = "label";

/// The columns of the bank's file that are numbers; `duration` is left out, since it is known only after the call.
const BANK_NUMERIC: [&str; 9] = [
    "age",
    "campaign",
    "pdays",
    "previous",
    "emp.var.rate",
    "cons.price.idx",
    "cons.conf.idx",
    "euribor3m",
    "nr.employed",
];

/// Telephone offers in date order; `None` where the file is absent.
///
/// # Errors
/// If the file is not what it was.
pub(crate) fn bank() -> Result<Option<Rows>> {
    let Some(file) = open("bank-additional-full.csv.gz")? else { return Ok(None) };
    read_bank(file).map(Some)
}

/// Ratings with their film's genres; the label is a rating of at least 4. `None` where a file is absent.
///
/// # Errors
/// If a file is not what it was.
pub(crate) fn movielens() -> Result<Option<Rows>> {
    let Some(ratings) = open("movielens_latest_small_ratings.csv.gz")? else { return Ok(None) };
    let Some(movies) = open("movielens_latest_small_movies.csv.gz")? else { return Ok(None) };
    read_movielens(ratings, movies).map(Some)
}

fn open(name: &str) -> Result<Option<GzDecoder<File>>> {
    let path = root().join("../shared/data").join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let file = File::open(&path).with_context(|| format!("cannot open `../shared/data/{name}`"))?;
    Ok(Some(GzDecoder::new(file)))
}

fn read_bank(file: impl Read) -> Result<Rows> {
    let mut reader = ReaderBuilder::new().delimiter(b';').from_reader(file);
    let header = reader.headers()?.clone();
    let answer = position(&header, "y")?;
    let kept: Vec<usize> = (0..header.len()).filter(|at| *at != answer && &header[*at] != "duration").collect();
    let columns = kept.iter().map(|at| {
        let kind = if BANK_NUMERIC.contains(&&header[*at]) { "numeric" } else { "categorical" };
        (header[*at].to_owned(), kind)
    });
    let mut rows = Rows { columns: columns.collect(), values: Vec::new(), labels: Vec::new() };
    for record in reader.records() {
        let record = record?;
        rows.values.push(kept.iter().map(|at| &record[*at]).collect());
        rows.labels.push(&record[answer] == "yes");
    }
    Ok(rows)
}

fn read_movielens(ratings: impl Read, movies: impl Read) -> Result<Rows> {
    let mut reader = csv::Reader::from_reader(movies);
    let header = reader.headers()?.clone();
    let (movie, genres) = (position(&header, "movieId")?, position(&header, "genres")?);
    let mut genres_of = HashMap::new();
    for record in reader.records() {
        let record = record?;
        genres_of.insert(record[movie].to_owned(), record[genres].to_owned());
    }
    let mut reader = csv::Reader::from_reader(ratings);
    let header = reader.headers()?.clone();
    let [user, movie, rating] = ["userId", "movieId", "rating"].map(|name| position(&header, name));
    let (user, movie, rating) = (user?, movie?, rating?);
    let columns = ["user", "movie", "genres"].map(|name| (name.to_owned(), "categorical")).to_vec();
    let mut rows = Rows { columns, values: Vec::new(), labels: Vec::new() };
    for record in reader.records() {
        let record = record?;
        let genres = genres_of.get(&record[movie]).with_context(|| format!("no film `{}`", &record[movie]))?;
        rows.values.push([&record[user], &record[movie], genres.as_str()].iter().collect());
        rows.labels.push(record[rating].parse::<f64>().context("column `rating`")? >= 4.0);
    }
    Ok(rows)
}

fn position(header: &StringRecord, name: &str) -> Result<usize> {
    header.iter().position(|column| column == name).with_context(|| format!("no column `{name}`"))
}

impl Rows {
    /// Writes `train.csv`, `test.csv` and `features.toml` into a folder, and answers the rows in each CSV.
    ///
    /// # Errors
    /// If the folder is absent or the disk full.
    pub(crate) fn write(&self, folder: &Path, trains: &[bool]) -> Result<(usize, usize)> {
        let train = self.write_part(&folder.join("train.csv"), trains, true)?;
        let test = self.write_part(&folder.join("test.csv"), trains, false)?;
        fs::write(folder.join("features.toml"), self.schema())?;
        Ok((train, test))
    }

    fn write_part(&self, path: &Path, trains: &[bool], part: bool) -> Result<usize> {
        let mut writer = Writer::from_path(path).with_context(|| format!("cannot write `{}`", path.display()))?;
        writer.write_record(self.columns.iter().map(|(name, _)| name.as_str()).chain([LABEL]))?;
        let mut count = 0;
        for ((values, label), _) in
            self.values.iter().zip(&self.labels).zip(trains).filter(|(_, trains)| **trains == part)
        {
            writer.write_record(values.iter().chain([if *label { "1" } else { "0" }]))?;
            count += 1;
        }
        writer.flush()?;
        Ok(count)
    }

    fn schema(&self) -> String {
        let feature = |(name, kind): &(String, &str)| format!("\n[[feature]]\nname = \"{name}\"\nkind = \"{kind}\"\n");
        format!("label = \"{LABEL}\"\n{}", self.columns.iter().map(feature).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bank_keeps_all_but_duration_and_its_answer_becomes_the_label() {
        let text = "\"age\";\"job\";\"duration\";\"y\"\n56;\"house;maid\";261;\"no\"\n40;\"admin.\";5;\"yes\"\n";
        let rows = read_bank(text.as_bytes()).expect("it reads");
        assert_eq!(rows.columns, [("age".to_owned(), "numeric"), ("job".to_owned(), "categorical")]);
        assert_eq!(rows.labels, [false, true]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(rows.write(folder.path(), &[false, true]).expect("it writes"), (1, 1));
        let read = |file| fs::read_to_string(folder.path().join(file)).expect("it is there");
        assert_eq!(read("train.csv"), "age,job,label\n40,admin.,1\n");
        assert_eq!(read("test.csv"), "age,job,label\n56,house;maid,0\n");
        let schema: toml::Table = read("features.toml").parse().expect("it is TOML");
        assert_eq!(schema["feature"][0]["kind"].as_str(), Some("numeric"));
    }

    #[test]
    fn ratings_join_their_films_genres_and_four_is_a_like() {
        let ratings = "userId,movieId,rating,timestamp\n1,7,4.0,9\n2,7,3.5,9\n";
        let movies = "movieId,title,genres\n7,\"Sabrina, again\",Comedy|Romance\n";
        let rows = read_movielens(ratings.as_bytes(), movies.as_bytes()).expect("it reads");
        assert_eq!(rows.values[0], ["1", "7", "Comedy|Romance"][..]);
        assert_eq!(rows.labels, [true, false]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read_bank("age;job\n1;2\n".as_bytes()).expect_err("no answers");
        assert_eq!(error.to_string(), "no column `y`");
        let (ratings, movies) = ("userId,movieId,rating\n1,7,4.0\n", "movieId,genres\n8,Drama\n");
        let error = read_movielens(ratings.as_bytes(), movies.as_bytes()).expect_err("no film");
        assert_eq!(error.to_string(), "no film `7`");
    }
}
