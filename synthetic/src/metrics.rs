//! `/metrics` of the probe itself, for Prometheus.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;

use crate::books::{Finished, Outcome};
use crate::evidence::now_s;

/// Seconds. The objectives are edges, so that a share within them is exact: 50 ms, 500 ms, 1 s.
const EDGES_S: [f64; 12] = [0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    place: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    place: String,
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPlace {
    place: String,
}

pub(crate) struct Metrics {
    registry: Registry,
    probes: Family<OfOutcome, Counter>,
    stages: Family<OfStage, Histogram, fn() -> Histogram>,
    findings: Family<OfPlace, Counter>,
    left_out: Family<OfPlace, Counter>,
    complete_at: Family<OfPlace, Gauge<u64, AtomicU64>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("probe");
        let of_stage: fn() -> Histogram = || Histogram::new(EDGES_S);
        let metrics = Self {
            registry: Registry::default(),
            probes: Family::default(),
            stages: Family::new_with_constructor(of_stage),
            findings: Family::default(),
            left_out: Family::default(),
            complete_at: Family::default(),
        };
        registry.register(
            "probes",
            "Probes that are over, by outcome",
            metrics.probes.clone(),
        );
        registry.register_with_unit(
            "stage",
            "From sending to the acknowledgement (ack) and to the vote's trace on the stream (seen)",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        registry.register("findings", "Totals that cannot be true", metrics.findings.clone());
        registry.register(
            "left_out",
            "Probes that this machine had no time for",
            metrics.left_out.clone(),
        );
        registry.register_with_unit(
            "last_complete_timestamp",
            "When a probe was last complete, seconds since the Unix epoch",
            Unit::Seconds,
            metrics.complete_at.clone(),
        );
        Self { registry, ..metrics }
    }

    pub(crate) fn add(&self, place: &str, probe: &Finished) {
        let place = place.to_owned();
        let outcome = probe.outcome.name();
        self.probes
            .get_or_create(&OfOutcome {
                place: place.clone(),
                outcome,
            })
            .inc();
        for (stage, at) in [("ack", probe.acked_at), ("seen", probe.seen_at)] {
            if let Some(at) = at {
                let seconds = at.since(probe.sent_at) as f64 / 1e6;
                let place = place.clone();
                self.stages
                    .get_or_create(&OfStage { place, stage })
                    .observe(seconds);
            }
        }
        if probe.outcome == Outcome::Complete {
            self.complete_at.get_or_create(&OfPlace { place }).set(now_s());
        }
    }

    pub(crate) fn find(&self, place: &str) {
        let place = place.to_owned();
        self.findings.get_or_create(&OfPlace { place }).inc();
    }

    pub(crate) fn leave_out(&self, place: &str, probes: u64) {
        let place = place.to_owned();
        self.left_out.get_or_create(&OfPlace { place }).inc_by(probes);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes every write");
        text
    }
}

/// Serves `/metrics` until the run is over.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let metrics = Arc::clone(&metrics);
        let answer = service_fn(move |request: Request<Incoming>| {
            let metrics = Arc::clone(&metrics);
            async move { Ok::<_, Infallible>(answer(&request, &metrics)) }
        });
        tokio::spawn(async move {
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            // A scraper that hangs up is no news.
            let _ = served.await;
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/metrics" => (StatusCode::OK, metrics.text()),
        _ => (StatusCode::NOT_FOUND, "there is /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use ostraka_client::api::ids::TraceId;

    use super::*;
    use crate::schedule::Micros;

    #[test]
    fn what_a_probe_was_is_told() {
        let metrics = Metrics::new();
        metrics.add(
            "here",
            &Finished {
                trace: TraceId([1; 16]),
                outcome: Outcome::Complete,
                due_at: Micros(0),
                sent_at: Micros(0),
                acked_at: Some(Micros(4_000)),
                seen_at: Some(Micros(30_000)),
                status_unanswered: false,
            },
        );
        metrics.find("here");
        metrics.leave_out("here", 3);
        let text = metrics.text();
        for line in [
            r#"probe_probes_total{place="here",outcome="complete"} 1"#,
            r#"probe_stage_seconds_bucket{le="0.03",place="here",stage="seen"} 1"#,
            r#"probe_stage_seconds_bucket{le="0.005",place="here",stage="ack"} 1"#,
            r#"probe_findings_total{place="here"} 1"#,
            r#"probe_left_out_total{place="here"} 3"#,
            r#"probe_last_complete_timestamp_seconds{place="here"} "#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
