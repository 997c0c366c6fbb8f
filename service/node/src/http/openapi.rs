//! `GET /openapi.json`: what the code says of itself.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::route::{Route, Serve};

/// The route that serves one document made of `parts`, each service's own.
///
/// # Panics
/// If a part cannot be written as JSON, which the derived ones always can.
pub fn router(parts: Vec<OpenApi>) -> Router {
    let document = Bytes::from(
        document(parts)
            .to_json()
            .expect("the derived document is plain data"),
    );
    let answer = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document).into_response() }
    };
    Router::new().serve(Route::OpenApi, answer)
}

fn document(parts: Vec<OpenApi>) -> OpenApi {
    let info = utoipa::openapi::InfoBuilder::new()
        .title("Ostraka")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Real-time voting: one vote per user per event, none lost, everybody sees the count move.",
        ))
        .build();
    let mut document = utoipa::openapi::OpenApiBuilder::new().info(info).build();
    for part in parts {
        document.merge(part);
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    document
        .components
        .get_or_insert_default()
        .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    document
}
