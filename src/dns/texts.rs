//! What stands at a name for good: the TXT texts, as each of its servers shows them.

use anyhow::bail;
use futures_util::future::join_all;
use hickory_proto::rr::RecordType;

use super::Asker;
use super::ask::{Server, fqdn, says_something};
use super::show::text;

/// What one server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The server, for people.
    pub server: String,
    /// The texts; the strings of a record are one.
    pub texts: Vec<String>,
}

impl Asker {
    /// The TXT texts at `name`, or where its CNAMEs lead, of each server that answers: a CA may ask any of them.
    ///
    /// # Errors
    /// CNAMEs in a circle; no server answered, or none would say.
    pub async fn texts(&self, name: &str) -> anyhow::Result<Vec<Texts>> {
        let place = self.follow(name).await?;
        let servers = self.servers(&place).await?;
        let (mut shown, mut silent) = (Vec::new(), Vec::new());
        self.texts_of(&place, &servers, &mut shown, &mut silent).await?;
        if let (true, Some(by_https)) = (shown.is_empty(), self.by_https()) {
            self.texts_of(&place, &[by_https], &mut shown, &mut silent).await?;
        }
        if shown.is_empty() {
            bail!(
                "no name server will say which TXT records stand at {place} ({})\nhelp: ask them: dig {place} TXT; if the zone's own \
                 servers cannot be reached from here, set `nameservers` or `doh` of a `[dns.NAME]`",
                silent.join("; ")
            );
        }
        Ok(shown)
    }

    async fn texts_of(
        &self,
        place: &str,
        servers: &[Server],
        shown: &mut Vec<Texts>,
        silent: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let name = fqdn(place)?;
        let asks = servers.iter().map(|server| self.ask(server, &name, RecordType::TXT));
        for (server, answer) in servers.iter().zip(join_all(asks).await) {
            match answer {
                Ok(answer) if says_something(&answer) => {
                    let texts = answer.answers.iter().filter_map(|record| text(&record.data));
                    shown.push(Texts { server: server.to_string(), texts: texts.collect() });
                }
                Ok(answer) => silent.push(format!("{server}: {}", answer.metadata.response_code)),
                Err(silence) => silent.push(format!("{server}: {silence}")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::net::SocketAddr;

    use hickory_proto::op::ResponseCode;

    use super::*;
    use crate::dns::fake::{Fake, Zone};

    const NAME: &str = "_validation-persist.example.test";

    /// What each server that answers shows, or a part of the error.
    async fn check(row: &str, zones: &[Option<Zone>], wanted: Result<&[&str], &str>) {
        let mut servers: Vec<SocketAddr> = Vec::new();
        for zone in zones {
            servers.push(match zone {
                Some(zone) => Fake::start(zone.clone()).await.address,
                None => std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap(),
            });
        }
        let got = Asker::new(&servers).texts(NAME).await.map_err(|error| format!("{error:#}"));
        let got = got.map(|shown| {
            shown.into_iter().map(|one| one.texts.join(" and ")).collect::<Vec<String>>()
        });
        match wanted {
            Ok(wanted) => assert_eq!(got.unwrap(), wanted, "{row}"),
            Err(part) => {
                assert!(got.as_ref().is_err_and(|text| text.contains(part)), "{row}: {got:?}")
            }
        }
    }

    #[tokio::test]
    async fn each_server_that_answers_is_heard() {
        let zone = || Zone::default().apex("example.test");
        let one = || zone().txt(NAME, "one");
        let alias = zone().cname(NAME, "p.example.test").txt("p.example.test", "there");
        let broken = zone().code("", RecordType::TXT, ResponseCode::ServFail);
        check("one", &[Some(one())], Ok(&["one"])).await;
        check("two at one name", &[Some(one().txt(NAME, "2"))], Ok(&["one and 2"])).await;
        let long = "x".repeat(300);
        check("in two strings", &[Some(zone().txt(NAME, &long))], Ok(&[&long])).await;
        check("a lagging one", &[Some(one()), Some(zone())], Ok(&["one", ""])).await;
        check("a dead one", &[None, Some(one())], Ok(&["one"])).await;
        check("a broken one", &[Some(broken.clone()), Some(one())], Ok(&["one"])).await;
        check("an alias", &[Some(alias)], Ok(&["there"])).await;
        check("all broken", &[Some(broken)], Err("dig _validation-persist.example.test TXT")).await;
        check("all dead", &[None], Err("no name server answered")).await;
    }
}
