//! Alertmanager's routes: who is called for what.

use serde::Serialize;

use super::yaml;

#[derive(Serialize)]
struct File {
    route: Route,
    inhibit_rules: Vec<Inhibition>,
    receivers: Vec<Receiver>,
}

#[derive(Serialize)]
struct Route {
    receiver: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<&'static str>,
    group_by: Vec<&'static str>,
    group_wait: &'static str,
    group_interval: &'static str,
    repeat_interval: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
}

#[derive(Serialize)]
struct Inhibition {
    source_matchers: Vec<&'static str>,
    target_matchers: Vec<&'static str>,
    equal: Vec<&'static str>,
}

#[derive(Serialize)]
struct Receiver {
    name: &'static str,
}

/// The file. Its receivers have no address: that is the operator's to fill in.
pub(super) fn file() -> Result<String, String> {
    let route = |receiver, matchers, (group_wait, repeat_interval), routes| Route {
        receiver,
        matchers,
        group_by: vec!["alertname", "objective"],
        group_wait,
        group_interval: "1m",
        repeat_interval,
        routes,
    };
    let page = route("page", vec!["severity=\"page\""], ("10s", "1h"), Vec::new());
    let whole = route("ticket", Vec::new(), ("1m", "24h"), vec![page]);
    yaml(&File {
        route: whole,
        // Whoever is called already needs no ticket for the same.
        inhibit_rules: vec![Inhibition {
            source_matchers: vec!["severity=\"page\""],
            target_matchers: vec!["severity=\"ticket\""],
            equal: vec!["objective"],
        }],
        receivers: vec![Receiver { name: "page" }, Receiver { name: "ticket" }],
    })
}
