//! The official vectors: the signature by itself, and the same calls over the wire.

use super::*;

/// Vectors made by running the official SDKs.
const VECTORS: &str = include_str!("../../../../vectors/aliyun-rpc-v1.json");

struct Vector {
    name: String,
    method: String,
    params: BTreeMap<String, String>,
    value: Value,
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(all.len(), 16, "the vectors that the facts speak of");
    let read = |value: Value| Vector {
        name: value["name"].as_str().unwrap().to_owned(),
        method: value["method"].as_str().unwrap().to_owned(),
        params: serde_json::from_value(value["params"].clone()).unwrap(),
        value,
    };
    all.into_iter().map(read).collect()
}

#[test]
fn every_vector_has_its_signature() {
    for vector in vectors() {
        let text = sign::string_to_sign(&vector.method, &vector.params);
        assert_eq!(text, vector.value["string_to_sign"].as_str().unwrap(), "{}", vector.name);
        let secret = vector.value["access_key_secret"].as_str().unwrap();
        let signature = sign::signature(secret, &text);
        assert_eq!(signature, vector.value["signature"].as_str().unwrap(), "{}", vector.name);
    }
}

/// A cloud at the vector's time, with its key.
fn world_of(vector: &Vector) -> Cloud {
    let text = |name: &str| vector.value[name].as_str().unwrap();
    let mut account = Account::new(text("access_key_id"), text("access_key_secret"));
    account.token = vector.params.get("SecurityToken").cloned();
    let time: Timestamp = vector.params["Timestamp"].parse().unwrap();
    let ahead = time.duration_since(Timestamp::now());
    let domain = vector.params.get("DomainName").cloned().unwrap_or_default();
    Cloud::start(
        Seed::new()
            .account(account)
            .domain(Domain::online(domain))
            .zone(Zone::new("example.com"))
            .rules(|rules| rules.clock_ahead = ahead),
    )
}

/// What the SDK put on the wire goes through the gate as it stands; the two services of other products do not exist.
#[tokio::test]
async fn every_vector_passes_the_gate_over_the_wire() {
    for vector in vectors() {
        let cloud = world_of(&vector);
        let of_body: BTreeSet<String> =
            serde_json::from_value(vector.value["body_params"].clone()).unwrap();
        let body: Vec<String> = of_body
            .iter()
            .map(|name| format!("{name}={}", sign::encode(&vector.params[name])))
            .collect();
        let path =
            vector.value["signed_path"].as_str().map_or_else(|| query(&vector), String::from);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let method = reqwest::Method::from_bytes(vector.method.as_bytes()).unwrap();
        let mut request = client.request(method, format!("{}{path}", cloud.url()));
        if !body.is_empty() {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.join("&"));
        }
        let text = request.send().await.unwrap().text().await.unwrap();
        let known = ["2018-05-10", "2015-01-09"].contains(&vector.params["Version"].as_str());
        let call = cloud.all_calls().pop().unwrap();
        let refused_at_gate = text.contains("Signature") || text.contains("InvalidTimeStamp");
        assert!(!refused_at_gate, "{}: {text}", vector.name);
        assert_eq!(
            known,
            call.ending != Ending::Refused("InvalidVersion".into()),
            "{}",
            vector.name
        );
    }
}

fn query(vector: &Vector) -> String {
    let signature = vector.value["signature"].as_str().unwrap();
    let pairs =
        vector.params.iter().map(|(k, v)| format!("{}={}", sign::encode(k), sign::encode(v)));
    let pairs: Vec<String> = pairs.collect();
    format!("/?{}&Signature={}", pairs.join("&"), sign::encode(signature))
}
