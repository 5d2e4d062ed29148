//! Each call of the CA under each fault, before and after its effect, in the way of the real program: how the run ends, what
//! it cost, and that the next one comes to its end.

use std::sync::Mutex;

use certferry_sandbox::fault::Fault;

use crate::issuing::Town;

/// A call, and the run that makes it.
struct Call {
    kind: &'static str,
    args: &'static str,
    /// Runs in a well world that come before it.
    before: &'static [&'static str],
}

const CALLS: &[Call] = &[
    Call { kind: "directory", args: "renew", before: &[] },
    Call { kind: "newNonce", args: "renew", before: &[] },
    Call { kind: "newAccount", args: "renew", before: &[] },
    Call { kind: "newOrder", args: "renew", before: &[] },
    Call { kind: "authorization", args: "renew", before: &[] },
    Call { kind: "challenge", args: "renew", before: &[] },
    Call { kind: "order", args: "renew", before: &[] },
    Call { kind: "finalize", args: "renew", before: &[] },
    Call { kind: "certificate", args: "renew", before: &[] },
    Call { kind: "alternate", args: "renew", before: &[] },
    Call { kind: "renewalInfo", args: "renew", before: &[] },
    Call { kind: "account", args: "account show", before: &["renew"] },
    Call { kind: "keyChange", args: "account rollover", before: &["renew"] },
    Call { kind: "revokeCert", args: "revoke example.test", before: &["renew"] },
];

type Row = (&'static str, fn(Fault) -> Fault);

const FAULTS: &[Row] = &[
    ("reset", |f| f.reset()),
    ("truncated", |f| f.truncated()),
    ("empty 200", |f| f.empty(200)),
    ("HTML 200", |f| f.html(200)),
    ("HTML 502", |f| f.html(502)),
    ("empty 504", |f| f.empty(504)),
    ("500", |f| f.answer("serverInternal", 500)),
    ("503, come back", |f| f.answer("serverInternal", 503).retry_after(1000)),
    ("429", |f| f.answer("rateLimited", 429)),
    ("429, come back", |f| f.answer("rateLimited", 429).retry_after(1000)),
    ("a refused nonce", |f| f.answer("badNonce", 400)),
    ("malformed", |f| f.answer("malformed", 400)),
    ("unauthorized", |f| f.answer("unauthorized", 403)),
    ("redirect", |f| f.redirect("https://127.0.0.1:9/")),
    ("oversized", |f| f.oversized()),
    ("wrong types", |f| f.wrong_type()),
];

fn explore(call: &Call, row: &Row, after: bool) -> String {
    let town = Town::new(|_| {});
    if call.kind == "alternate" {
        town.edit("terms_agreed = true", "terms_agreed = true\npreferred_chain = \"Nobody\"");
    }
    for args in call.before {
        assert_eq!(town.run(args).code, 0);
    }
    let fault = row.1(Fault::at(call.kind));
    town.world.ca.fault(if after { fault.after() } else { fault.before() });
    let ended = town.run(call.args);
    let left = town.world.ca.faults_left();
    let first = town.cost();
    town.world.ca.heal();
    if row.0.contains("come back") {
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    let healed = town.run("renew example.test");
    let plan = town.run("plan --json").json();
    let steps = plan["steps"].as_array().unwrap().len();
    format!(
        "{}|{}|{}|exit {} {:?} left {}|next {} {:?} steps {} accounts {}|{}|{}",
        call.kind,
        row.0,
        if after { "after" } else { "before" },
        ended.code,
        first,
        left,
        healed.code,
        town.cost(),
        steps,
        town.world.ca.accounts().len(),
        ended.stderr.replace('\n', " / "),
        healed.stderr.replace('\n', " / "),
    )
}

#[test]
fn explore_all() {
    let rows: Vec<_> = CALLS
        .iter()
        .flat_map(|call| FAULTS.iter().flat_map(move |row| [(call, row, false), (call, row, true)]))
        .collect();
    let only = std::env::var("ONLY").unwrap_or_default();
    let rows = Mutex::new(rows.into_iter().filter(|row| row.0.kind.contains(&only)));
    let out = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some((call, row, after)) = rows.lock().unwrap().next() else { break };
                    let line = explore(call, row, after);
                    out.lock().unwrap().push(line);
                }
            });
        }
    });
    let mut out = out.into_inner().unwrap();
    out.sort();
    std::fs::write("/tmp/ca_explore.txt", out.join("\n")).unwrap();
}
