//! Tables of documents in the code's own words: a test compares them with the code, or writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests; the page is the project's own"
)]

use std::collections::BTreeMap;
use std::path::Path;

/// With this set, the tables are written and not compared.
const WRITE: &str = "CERTFERRY_WRITE_TABLES";

/// Both languages show what the program prints; a further cell of a row is the page's own, and stays.
const PAGES: [&str; 2] = ["docs/troubleshooting.md", "docs/troubleshooting.zh-CN.md"];

/// The table between `<!-- table PART -->` and `<!-- end PART -->` has these rows; their first cells differ.
pub(crate) fn check_table<const N: usize>(part: &str, rows: &[[String; N]]) {
    for page in PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted = with_rows(&text, part, rows);
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, wanted).unwrap();
            continue;
        }
        let remedy = format!("{WRITE}=1 cargo test --lib tables -- --test-threads 1");
        assert!(text == wanted, "{page}: the table `{part}` is not what the code says: {remedy}");
        let (_, table, _) = cut(&text, part);
        let empty = table.lines().find(|line| line.ends_with("|  |"));
        assert_eq!(empty, None, "{page}: a row without words of the page's own");
    }
}

/// What a table's text begins with, the table, and the rest.
fn cut<'a>(text: &'a str, part: &str) -> (&'a str, &'a str, &'a str) {
    let (start, end) = (format!("<!-- table {part} -->\n"), format!("<!-- end {part} -->"));
    let from = text.find(&start).map(|at| at + start.len()).unwrap_or_else(|| panic!("{start}"));
    let to = text[from..].find(&end).map(|at| at + from).unwrap_or_else(|| panic!("{end}"));
    (&text[..from], &text[from..to], &text[to..])
}

fn with_rows<const N: usize>(text: &str, part: &str, rows: &[[String; N]]) -> String {
    let (before, table, after) = cut(text, part);
    let mut head = table.lines();
    let names = head.next().unwrap();
    let rule = head.next().unwrap();
    let has_own = names.matches(" | ").count() == N;
    let own: BTreeMap<String, String> = head.filter(|_| has_own).filter_map(own_cell).collect();
    let row = |row: &[String; N]| {
        let cells = row.clone().map(|cell| cell.replace('|', "\\|"));
        let last = own.get(&cells[0]).map_or("", String::as_str);
        let last = if has_own { format!(" {last} |") } else { String::new() };
        format!("| {} |{last}\n", cells.join(" | "))
    };
    let rows: String = rows.iter().map(row).collect();
    format!("{before}{names}\n{rule}\n{rows}{after}")
}

/// The first cell of a row, and the last.
fn own_cell(line: &str) -> Option<(String, String)> {
    let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = line.split(" | ").collect();
    let [key, .., own] = cells.as_slice() else { return None };
    Some(((*key).to_owned(), (*own).to_owned()))
}

#[test]
fn a_tables_own_cells_stay() {
    let text = "a\n<!-- table x -->\n| c | s | h | own |\n| --- |\n| `A` | old | old | mine |\n<!-- end x -->\nb\n";
    let row = |key: &str| [key, "new", "a|b"].map(str::to_owned);
    let wanted = "a\n<!-- table x -->\n| c | s | h | own |\n| --- |\n| `B` | new | a\\|b |  |\n| `A` | new | a\\|b | mine |\n<!-- end x -->\nb\n";
    assert_eq!(with_rows(text, "x", &[row("`B`"), row("`A`")]), wanted);
}
