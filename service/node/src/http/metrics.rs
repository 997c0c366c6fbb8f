//! Counters of the public port.

use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::route::Route;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    route: &'static str,
    status: u16,
}

/// The statuses that the service answers; any other shares the last place.
const STATUSES: [u16; 19] = [
    200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 429, 500, 503, 304, 431, 0,
];

/// Answers by route and status. A cached handle each, so that counting is one atomic addition.
#[derive(Clone)]
pub struct HttpMetrics {
    responses: Family<ResponseLabels, Counter>,
    cached: Arc<[OnceLock<Counter>]>,
}

impl HttpMetrics {
    /// Registers under the registry's own prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let responses = Family::default();
        registry.register(
            "http_responses",
            "HTTP answers by route and status",
            responses.clone(),
        );
        let cached = (0..Route::COUNT * STATUSES.len())
            .map(|_| OnceLock::new())
            .collect();
        Self { responses, cached }
    }

    pub(super) fn response(&self, route: Route, status: u16) {
        let place = STATUSES
            .iter()
            .position(|known| *known == status)
            .unwrap_or(STATUSES.len() - 1);
        let labels = || ResponseLabels {
            route: route.path(),
            status: STATUSES[place],
        };
        self.cached[route as usize * STATUSES.len() + place]
            .get_or_init(|| self.responses.get_or_create_owned(&labels()))
            .inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_route_and_status() {
        let mut registry = Registry::default();
        let metrics = HttpMetrics::register(&mut registry);
        metrics.response(Route::VoteSubmit, 200);
        metrics.response(Route::VoteSubmit, 200);
        metrics.response(Route::Other, 418);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains(r#"http_responses_total{route="/v1/vote/submit",status="200"} 2"#),
            "{text}"
        );
        assert!(
            text.contains(r#"http_responses_total{route="other",status="0"} 1"#),
            "{text}"
        );
    }
}
