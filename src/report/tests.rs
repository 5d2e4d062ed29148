//! The report as a table.
