//! The table of codes, as the documents show it.

use super::{ROWS, Row, STS};
use crate::testing::check_table;

/// Words in capitals stand for what a message says.
fn shown(rows: &[Row], subject: &str) -> Vec<[String; 3]> {
    let words = |text: &str| {
        text.replace("{subject}", subject)
            .replace("{action}", "ACTION")
            .replace("{resource}", "RESOURCE")
            .replace("{key}", "ACCESSKEY_ID")
            .replace("{account}", "NAME")
    };
    rows.iter()
        .map(|row| [format!("`{}`", row.code), words(row.sentence), words(row.help)])
        .collect()
}

#[test]
fn tables_of_the_cloud_and_of_sts() {
    check_table("cloud", &shown(ROWS, "DOMAIN"));
    check_table("sts", &shown(STS, "ROLE"));
}
