//! The part of OpenSLO v1 that the objectives are written in. What is not here is refused, so that a slip of the pen is no silent
//! change of an objective.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "apiVersion")]
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) display_name: Option<String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

/// Of an SLO; a service has a description alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) description: String,
    pub(super) service: Option<String>,
    pub(super) indicator: Option<Indicator>,
    #[serde(default)]
    pub(super) time_window: Vec<TimeWindow>,
    pub(super) budgeting_method: Option<String>,
    #[serde(default)]
    pub(super) objectives: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Indicator {
    #[serde(rename = "metadata")]
    pub(super) _metadata: Metadata,
    pub(super) spec: IndicatorSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct IndicatorSpec {
    pub(super) ratio_metric: Option<RatioMetric>,
    pub(super) threshold_metric: Option<Metric>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RatioMetric {
    pub(super) counter: bool,
    pub(super) good: Option<Metric>,
    pub(super) total: Option<Metric>,
    pub(super) raw_type: Option<String>,
    pub(super) raw: Option<Metric>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Metric {
    pub(super) metric_source: MetricSource,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricSource {
    #[serde(rename = "type")]
    pub(super) source: String,
    pub(super) spec: Query,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) query: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TimeWindow {
    pub(super) duration: String,
    pub(super) is_rolling: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Target {
    pub(super) display_name: String,
    pub(super) op: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) target: f64,
}
