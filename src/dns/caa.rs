//! Which CAA records rule a name: the nearest set on the way up (RFC 8659, 3).

use anyhow::{Context as _, bail};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, RecordType};

use super::Asker;
use super::ask::{fqdn, plain};
use crate::caa::Property;

/// The CAA records that rule a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaaSet {
    /// Where they stand; empty: nowhere.
    pub at: String,
    /// The records.
    pub properties: Vec<Property>,
}

impl Asker {
    /// The nearest CAA records at `name` (without `*.`) or above it; none where there are none. A CNAME is followed, but
    /// not climbed up from.
    ///
    /// # Errors
    /// No server answered, or none would say: a CA does not issue then.
    pub async fn caa(&self, name: &str) -> anyhow::Result<CaaSet> {
        let name = fqdn(name)?;
        let zone = self.cut(&name).await?;
        let mut at = name;
        while !at.is_root() {
            let is_above = zone.as_ref().is_some_and(|zone| !zone.zone_of(&at));
            match self.caa_at(&at).await? {
                Some(properties) if !properties.is_empty() => {
                    return Ok(CaaSet { at: plain(&at), properties });
                }
                Some(_none) => {}
                // The servers of a zone do not answer for its parent, and registries publish no CAA.
                None if is_above => break,
                None => bail!(
                    "no name server will say whether {} has CAA records\nhelp: ask them: dig {} CAA; a CA does not issue while \
                     the answer is SERVFAIL or REFUSED",
                    plain(&at),
                    plain(&at)
                ),
            }
            at = at.base_name();
        }
        Ok(CaaSet::default())
    }

    /// The set at a name, or where its CNAMEs lead; none if no server will say.
    async fn caa_at(&self, name: &Name) -> anyhow::Result<Option<Vec<Property>>> {
        let Some(answer) = self.resolve(name, RecordType::CAA).await? else { return Ok(None) };
        let found = properties(&answer);
        let is_alias =
            answer.answers.iter().any(|record| record.record_type() == RecordType::CNAME);
        if !found.is_empty() || !is_alias {
            return Ok(Some(found));
        }
        let end = self.follow(&plain(name)).await.context("its CAA records cannot be found")?;
        let answer = self.resolve(&fqdn(&end)?, RecordType::CAA).await?;
        Ok(answer.as_ref().map(properties))
    }
}

pub(super) fn properties(answer: &Message) -> Vec<Property> {
    let property = |data: &RData| {
        let RData::CAA(caa) = data else { return None };
        let value = String::from_utf8_lossy(&caa.value).into_owned();
        Some(Property { critical: caa.issuer_critical, tag: caa.tag.clone(), value })
    };
    answer.answers.iter().filter_map(|record| property(&record.data)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use hickory_proto::op::ResponseCode;

    use super::*;
    use crate::dns::fake::{Fake, Zone};

    const NAME: &str = "www.sub.example.test";

    fn zone() -> Zone {
        Zone::default().apex("example.test")
    }

    /// Where the records stand and the values of them, or a part of the error.
    async fn check(row: &str, zone: Zone, wanted: Result<&str, &str>) {
        let fake = Fake::start(zone).await;
        let got = Asker::new(&[fake.address]).caa(NAME).await;
        let got = got.map_err(|error| format!("{error:#}")).map(|set| {
            let values: Vec<String> = set.properties.into_iter().map(|one| one.value).collect();
            format!("{} {}", set.at, values.join(","))
        });
        match wanted {
            Ok(wanted) => assert_eq!(got.as_deref(), Ok(wanted), "{row}"),
            Err(part) => {
                assert!(got.as_ref().is_err_and(|text| text.contains(part)), "{row}: {got:?}")
            }
        }
    }

    #[tokio::test]
    async fn the_nearest_set_rules() {
        let refuse =
            |zone: Zone, name: &str| zone.code(name, RecordType::CAA, ResponseCode::Refused);
        let apex = || zone().caa("example.test", "apex");
        check("none", zone(), Ok(" ")).await;
        check("at the name", apex().caa(NAME, "own"), Ok("www.sub.example.test own")).await;
        check("above", apex(), Ok("example.test apex")).await;
        check(
            "nearer than above",
            apex().caa("sub.example.test", "sub"),
            Ok("sub.example.test sub"),
        )
        .await;
        check("above the zone", zone().caa("test", "top"), Ok("test top")).await;
        check("above the zone is refused", refuse(zone(), "test"), Ok(" ")).await;
        check("the name is refused", refuse(apex(), NAME), Err("www.sub.example.test")).await;
        let failing = zone().code("example.test", RecordType::CAA, ResponseCode::ServFail);
        check("the apex fails", failing, Err("dig example.test CAA")).await;
    }

    #[tokio::test]
    async fn a_cname_is_followed_and_not_climbed() {
        let alias = || zone().cname(NAME, "edge.other.test");
        check("its end", alias().caa("edge.other.test", "end"), Ok("www.sub.example.test end"))
            .await;
        let above = alias().caa("other.test", "no").caa("example.test", "apex");
        check("not above its end", above, Ok("example.test apex")).await;
        let chain = zone().cname(NAME, "a.test").cname("a.test", "b.test").caa("b.test", "b");
        check("a chain", chain, Ok("www.sub.example.test b")).await;
        let circle = zone().cname(NAME, "a.test").cname("a.test", NAME);
        check("a circle", circle, Err("circle")).await;
    }
}
