//! Errors as people read them: what is wrong, cause by cause, then what to do. A remedy is a line `help: …`. Pure.

/// What is wrong and what to do, of a whole chain of causes. Remedies may stand anywhere in it.
#[must_use]
pub fn parts(error: &anyhow::Error) -> (String, String) {
    let told: Vec<(String, String)> =
        error.chain().map(|cause| split(&cause.to_string())).collect();
    let join = |parts: Vec<&str>, between| {
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
    };
    let what = join(told.iter().map(|(what, _)| what.as_str()).collect(), ": ");
    let mut help: Vec<&str> = Vec::new();
    for (_, remedy) in &told {
        // A full disk is in the way of what was to be done, and of remembering that.
        if !help.contains(&remedy.as_str()) {
            help.push(remedy);
        }
    }
    (what, join(help, "; "))
}

/// The chain as one text, remedies last: what [`split`] takes apart again.
#[must_use]
pub fn text(error: &anyhow::Error) -> String {
    match parts(error) {
        (what, help) if help.is_empty() => what,
        (what, help) => format!("{what}\nhelp: {help}"),
    }
}

/// Parts a text into what is wrong and what to do.
#[must_use]
pub fn split(text: &str) -> (String, String) {
    let mut what = Vec::new();
    let mut help = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("help: ") {
            Some(remedy) => help.push(remedy.trim()),
            None => what.push(line.trim_end()),
        }
    }
    (what.join("\n"), help.join("; "))
}

/// An error on a terminal, with its line end.
#[must_use]
pub fn lines(label: &str, what: &str, help: &str) -> String {
    let what = what.replace('\n', "\n  ");
    let help = if help.is_empty() { String::new() } else { format!("  help: {help}\n") };
    format!("{label}: {what}\n{help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_come_last() {
        let check = |error: anyhow::Error, expect: &str| assert_eq!(text(&error), expect);
        check(anyhow::anyhow!("no"), "no");
        check(anyhow::anyhow!("no\nhelp: do"), "no\nhelp: do");
        let chain = anyhow::anyhow!("why\nhelp: first").context("what\nhelp: then");
        check(chain, "what: why\nhelp: then; first");
        let twice = anyhow::anyhow!("why\nhelp: do").context("what\nhelp: do");
        check(twice, "what: why\nhelp: do");
        check(anyhow::anyhow!("a\nb\n  help: c"), "a\nb\nhelp: c");
    }
}
