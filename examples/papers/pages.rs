//! Man pages: one of the program, one of each command, by the words of `--help`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use clap::Command;

/// Behind what `--help` says, on the program's own page.
const FILES: &str = r".SH FILES
.TP
\fI/etc/certferry/config.toml\fR
The configuration. It holds no secret, and explains itself.
.TP
\fI/etc/certferry/secrets\fR
A place for secrets, each a file of its own: root's alone.
.TP
\fI/var/lib/certferry\fR
The store: certificates with their keys, accounts, what hooks have asked for, what is under way.
.TP
\fI/usr/share/certferry/hooks\fR
How each ACME client calls certferry, and the scripts that some of them need.
.TP
\fI/usr/share/doc/certferry\fR
The manual, in English and Chinese.
.SH ENVIRONMENT
.TP
\fBCERTFERRY_CONFIG\fR
The configuration, where \fB\-\-config\fR does not name it.
.TP
\fBRUST_LOG\fR
What is logged on stderr: \fIlevel\fR or \fItarget\fR=\fIlevel\fR,...
.TP
\fBALIBABA_CLOUD_ACCESS_KEY_ID\fR, \fBALIBABA_CLOUD_ACCESS_KEY_SECRET\fR, \fBALIBABA_CLOUD_SECURITY_TOKEN\fR
An AccessKey, for an account of the configuration that names none.
";

/// Writes `certferry.1`, `certferry-renew.1` and so on.
pub(crate) fn write(command: Command, folder: &Path) -> Result<()> {
    clap_mangen::generate_to(command, folder)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().trim_end_matches(".1").to_owned());
    }
    names.sort();
    for name in &names {
        let mut page = OpenOptions::new().append(true).open(folder.join(format!("{name}.1")))?;
        if name == "certferry" {
            page.write_all(FILES.as_bytes())?;
        }
        page.write_all(see_also(name, &names).as_bytes())?;
    }
    Ok(())
}

/// A page names its own commands; one that has none, the one above it.
fn see_also(name: &str, all: &[String]) -> String {
    let below: Vec<&str> =
        all.iter().filter(|other| parent(other) == Some(name)).map(String::as_str).collect();
    let above: Vec<&str> = parent(name).into_iter().collect();
    let named: Vec<String> = above
        .into_iter()
        .chain(below)
        .map(|page| format!("\\fB{}\\fR(1)", page.replace('-', "\\-")))
        .collect();
    format!(".SH \"SEE ALSO\"\n{}\n", named.join(",\n"))
}

fn parent(name: &str) -> Option<&str> {
    name.rsplit_once('-').map(|(parent, _)| parent)
}
