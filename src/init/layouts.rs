//! Where other ACME clients keep what they have: one table, and how a path fits it.

use std::path::{Path, PathBuf};

use crate::config::Source;

/// How a client keeps a certificate below its folder. `{}` is the certificate's name there, `*` anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The client.
    pub client: &'static str,
    /// Its usual folders; `~` is the user's, `$NAME` an environment variable.
    homes: &'static [&'static str],
    /// The chain.
    chain: &'static str,
    /// The key; none: the chain's folder has both, by names that a `source` knows.
    key: Option<&'static str>,
    /// The file by which the client renews it; without that it is left behind.
    pub renews_by: Option<&'static str>,
    /// A name with this at its end is none: a file beside the chain, or one of another row.
    but_not: &'static str,
}

/// All that are known. Sources: each client's documents and code (certbot's `storage.py`, lego's `certs_storage.go`, acme.sh's
/// `_initpath`, the others' manuals).
pub const LAYOUTS: [Layout; 8] = [
    Layout {
        client: "certbot",
        homes: &["/etc/letsencrypt"],
        chain: "live/{}/fullchain.pem",
        key: None,
        renews_by: Some("renewal/{}.conf"),
        but_not: "",
    },
    Layout {
        client: "acme.sh",
        homes: &["$LE_WORKING_DIR", "~/.acme.sh"],
        chain: "{}/fullchain.cer",
        key: Some("{}/{}.key"),
        renews_by: Some("{}/{}.conf"),
        but_not: "_ecc",
    },
    Layout {
        client: "acme.sh",
        homes: &["$LE_WORKING_DIR", "~/.acme.sh"],
        chain: "{}_ecc/fullchain.cer",
        key: Some("{}_ecc/{}.key"),
        renews_by: Some("{}_ecc/{}.conf"),
        but_not: "",
    },
    Layout {
        client: "lego",
        homes: &["$LEGO_PATH", "~/.lego", "/etc/lego"],
        chain: "certificates/{}.crt",
        key: Some("certificates/{}.key"),
        renews_by: Some("certificates/{}.json"),
        but_not: ".issuer",
    },
    Layout {
        client: "dehydrated",
        homes: &["/var/lib/dehydrated", "/etc/dehydrated"],
        chain: "certs/{}/fullchain.pem",
        key: None,
        renews_by: None,
        but_not: "",
    },
    Layout {
        client: "uacme",
        homes: &["/etc/ssl/uacme"],
        chain: "{}/cert.pem",
        key: Some("private/{}/key.pem"),
        renews_by: None,
        but_not: "",
    },
    Layout {
        client: "acmetool",
        homes: &["/var/lib/acme"],
        chain: "live/{}/fullchain",
        key: None,
        renews_by: None,
        but_not: "",
    },
    Layout {
        client: "Caddy",
        homes: &["/var/lib/caddy/.local/share/caddy", "~/.local/share/caddy"],
        chain: "certificates/*/{}/{}.crt",
        key: Some("certificates/*/{}/{}.key"),
        renews_by: Some("certificates/*/{}/{}.json"),
        but_not: "",
    },
];

/// What of a path stands for `{}` and `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// The certificate's name.
    pub name: String,
    any: String,
}

impl Layout {
    /// Its usual folders, where they can be told. `var` reads the environment.
    pub fn homes<'a>(
        &self,
        var: impl Fn(&str) -> Option<&'a str> + Copy,
    ) -> impl Iterator<Item = PathBuf> {
        self.homes.iter().filter_map(move |written| match written.split_at(1) {
            ("$", name) => var(name).map(PathBuf::from),
            ("~", rest) => Some(Path::new(var("HOME")?).join(rest.trim_start_matches('/'))),
            _ => Some(PathBuf::from(written)),
        })
    }

    /// The parts of the chain's path, to be looked for one in the other.
    pub fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.chain.split('/')
    }

    /// Where a chain and its key are.
    #[must_use]
    pub fn source(&self, home: &Path, chain: &Path, caught: &Caught) -> Source {
        match self.key {
            Some(key) => Source::files(chain.to_owned(), home.join(caught.fill(key))),
            None => Source::folder(chain.parent().unwrap_or(home)),
        }
    }

    /// Is it a name that this row has?
    #[must_use]
    pub fn has(&self, caught: &Caught) -> bool {
        self.but_not.is_empty() || !caught.name.ends_with(self.but_not)
    }
}

impl Caught {
    /// What is caught with a name that fits this part of a path.
    #[must_use]
    pub fn by(&self, part: &str, name: &str) -> Option<Self> {
        if part == "*" {
            return Some(Self { any: name.to_owned(), ..self.clone() });
        }
        if !self.name.is_empty() || !part.contains("{}") {
            return (self.fill(part) == name).then(|| self.clone());
        }
        let (before, behind) = part.split_once("{}")?;
        let caught = name.strip_prefix(before)?.strip_suffix(behind)?;
        (!caught.is_empty()).then(|| Self { name: caught.to_owned(), ..self.clone() })
    }

    /// The path that a pattern means.
    #[must_use]
    pub fn fill(&self, pattern: &str) -> String {
        // In this order: a wildcard's name has a star of its own.
        pattern.replace('*', &self.any).replace("{}", &self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The certificate's name and key of a chain below the client's folder, by the row that has it.
    fn check(client: &str, chain: &str, expect: Option<(&str, &str)>) {
        let fits = |layout: &&Layout| layout.client == client;
        let found: Vec<(String, String)> = LAYOUTS
            .iter()
            .filter(fits)
            .filter_map(|layout| {
                let names: Vec<&str> = chain.split('/').collect();
                let parts: Vec<&str> = layout.parts().collect();
                if names.len() != parts.len() {
                    return None;
                }
                let mut both = parts.iter().zip(names);
                let caught =
                    both.try_fold(Caught::default(), |caught, (part, name)| caught.by(part, name))?;
                let source = layout.source(Path::new(""), Path::new(chain), &caught);
                let key = source.key.unwrap_or(source.path).display().to_string();
                layout.has(&caught).then_some((caught.name, key))
            })
            .collect();
        let expect: Vec<_> =
            expect.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned())).collect();
        assert_eq!(found, expect, "{client}: {chain}");
    }

    #[test]
    fn each_client_has_its_way() {
        check("certbot", "live/a.test/fullchain.pem", Some(("a.test", "live/a.test")));
        check("certbot", "live/README", None);
        check("acme.sh", "a.test/fullchain.cer", Some(("a.test", "a.test/a.test.key")));
        check("acme.sh", "a.test_ecc/fullchain.cer", Some(("a.test", "a.test_ecc/a.test.key")));
        check("acme.sh", "*.a.test/fullchain.cer", Some(("*.a.test", "*.a.test/*.a.test.key")));
        check("acme.sh", "a.test/a.test.cer", None);
        check("lego", "certificates/_.a.test.crt", Some(("_.a.test", "certificates/_.a.test.key")));
        check("lego", "certificates/a.test.issuer.crt", None);
        check("dehydrated", "certs/a.test/fullchain.pem", Some(("a.test", "certs/a.test")));
        check("uacme", "a.test/cert.pem", Some(("a.test", "private/a.test/key.pem")));
        check("acmetool", "live/a.test/fullchain", Some(("a.test", "live/a.test")));
        let caddy = "certificates/acme-v02.api/a.test/a.test";
        check("Caddy", &format!("{caddy}.crt"), Some(("a.test", &format!("{caddy}.key"))));
        check("Caddy", "certificates/acme-v02.api/a.test/b.test.crt", None);
    }

    #[test]
    fn homes_are_the_environments() {
        let check = |client: &str, vars: &[(&str, &'static str)], expect: &[&str]| {
            let var = |name: &str| vars.iter().find(|(var, _)| *var == name).map(|(_, at)| *at);
            let layout = LAYOUTS.iter().find(|layout| layout.client == client).unwrap();
            let homes: Vec<_> = layout.homes(var).map(|home| home.display().to_string()).collect();
            assert_eq!(homes, expect, "{client}");
        };
        check("certbot", &[], &["/etc/letsencrypt"]);
        check("acme.sh", &[("HOME", "/home/ops")], &["/home/ops/.acme.sh"]);
        check("acme.sh", &[("LE_WORKING_DIR", "/opt/acme.sh")], &["/opt/acme.sh"]);
    }
}
