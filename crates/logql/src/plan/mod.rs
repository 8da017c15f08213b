//! From the tree of a query to what is asked of the store and what is left to do afterwards.

pub(crate) mod compile;
pub(crate) mod fields;
pub(crate) mod pushdown;
pub(crate) mod row_selection;
