//! Columns of one side as a family takes them, and rows made of them.

use std::ops::Range;

use crate::Error;
use crate::encode::Slots;
use crate::values::Values;

/// One column for each feature of a side.
#[derive(Debug, Clone)]
pub(crate) enum Columns {
    /// For factor models.
    Slots(Vec<Slots>),
    /// For trees; NaN is missing.
    Numbers(Vec<Vec<f64>>),
    /// For families that take batches alone.
    Values(Vec<Values>),
}

impl Columns {
    /// Adds the rows of another side.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) for a side of another model.
    pub(super) fn append(&mut self, more: Self) -> Result<(), Error> {
        let same = match (self, more) {
            (Self::Slots(whole), Self::Slots(more)) => {
                whole.iter_mut().zip(more).for_each(|(whole, more)| whole.append(more));
                true
            }
            (Self::Numbers(whole), Self::Numbers(more)) => {
                whole.iter_mut().zip(more).for_each(|(whole, more)| whole.extend(more));
                true
            }
            (Self::Values(whole), Self::Values(more)) => {
                whole.iter_mut().zip(more).all(|(whole, more)| whole.append(more))
            }
            _ => false,
        };
        same.then_some(()).ok_or_else(unprepared)
    }

    /// Returns some rows.
    pub(super) fn slice(&self, rows: Range<usize>) -> Self {
        match self {
            Self::Slots(columns) => Self::Slots(columns.iter().map(|column| column.slice(rows.clone())).collect()),
            Self::Numbers(columns) => {
                Self::Numbers(columns.iter().map(|column| column[rows.clone()].to_vec()).collect())
            }
            Self::Values(_) => self.gathered(&rows.collect::<Vec<_>>()),
        }
    }

    /// Returns one row, repeated.
    pub(super) fn repeated(&self, row: usize, count: usize) -> Self {
        match self {
            Self::Slots(columns) => Self::Slots(columns.iter().map(|column| column.repeated(row, count)).collect()),
            Self::Numbers(columns) => Self::Numbers(columns.iter().map(|column| vec![column[row]; count]).collect()),
            Self::Values(_) => self.gathered(&vec![row; count]),
        }
    }

    /// Returns some rows, in any order.
    pub(super) fn gathered(&self, rows: &[usize]) -> Self {
        match self {
            Self::Slots(columns) => Self::Slots(columns.iter().map(|column| column.gathered(rows)).collect()),
            Self::Numbers(columns) => {
                let gather = |column: &Vec<f64>| rows.iter().map(|&row| column[row]).collect();
                Self::Numbers(columns.iter().map(gather).collect())
            }
            Self::Values(columns) => Self::Values(columns.iter().map(|column| column.gathered(rows)).collect()),
        }
    }

    /// Merges the columns of several sides: `sides[i]` names the side whose next column is the `i`-th.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) for sides of different models, or of too few columns.
    pub(super) fn merged<const SIDES: usize>(parts: [Self; SIDES], sides: &[usize]) -> Result<Self, Error> {
        /// Takes the columns of each part in turn.
        fn merge<C, const SIDES: usize>(parts: [Vec<C>; SIDES], sides: &[usize]) -> Option<Vec<C>> {
            let mut parts = parts.map(Vec::into_iter);
            sides.iter().map(|&side| parts[side].next()).collect()
        }
        let merged = match parts.first() {
            Some(Self::Slots(_)) => merge(parts.map(Self::into_slots), sides).map(Self::Slots),
            Some(Self::Numbers(_)) => merge(parts.map(Self::into_numbers), sides).map(Self::Numbers),
            Some(Self::Values(_)) => merge(parts.map(Self::into_values), sides).map(Self::Values),
            None => None,
        };
        merged.ok_or_else(unprepared)
    }

    /// Replaces the columns of one side: those whose place `is_of_side`.
    pub(super) fn replace(&mut self, with: Self, is_of_side: &[bool]) {
        /// Puts columns where they belong.
        fn put<C>(columns: &mut [C], with: Vec<C>, is_of_side: &[bool]) {
            let own = columns.iter_mut().zip(is_of_side).filter(|(_, own)| **own);
            own.zip(with).for_each(|((column, _), with)| *column = with);
        }
        match (self, with) {
            (Self::Slots(columns), Self::Slots(with)) => put(columns, with, is_of_side),
            (Self::Numbers(columns), Self::Numbers(with)) => put(columns, with, is_of_side),
            (Self::Values(columns), Self::Values(with)) => put(columns, with, is_of_side),
            _ => {}
        }
    }

    fn into_slots(self) -> Vec<Slots> {
        if let Self::Slots(columns) = self { columns } else { Vec::new() }
    }

    fn into_numbers(self) -> Vec<Vec<f64>> {
        if let Self::Numbers(columns) = self { columns } else { Vec::new() }
    }

    fn into_values(self) -> Vec<Values> {
        if let Self::Values(columns) = self { columns } else { Vec::new() }
    }
}

pub(crate) fn unprepared() -> Error {
    Error::invalid("users or ads were prepared for another model")
}
