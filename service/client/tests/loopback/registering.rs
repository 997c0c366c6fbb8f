//! Registration by work: what is asked for, done and handed in.

use ostraka_api::{RegisterRequest, parse_object};
use ostraka_client::{CallOptions, ClientError};

use crate::support::{Reply, Server, client, config, json};

/// The work that a server of these tests gives.
const CHALLENGE: &str = r#"{"parameters":{"algorithm":"ARGON2ID","cost":1,"data":{"purpose":"register"},
    "expiresAt":4000000000,"keyLength":32,"keyPrefix":"0","memoryCost":8,"nonce":"7e7541c1c70b40d34b4ad293b22310dc",
    "parallelism":1,"salt":"e507a2c927cd23667a7d61fa8f6c2deb"},"signature":"50ef"}"#;

fn ann() -> RegisterRequest {
    parse_object(br#"{"username":"ann","email":"ann@example.org","date_of_birth":"1990-12-31"}"#).unwrap()
}

#[tokio::test]
async fn who_has_no_token_works_for_one() {
    let server = Server::http(|_, seen| match seen.path.as_str() {
        "/v1/auth/challenge" => json(200, CHALLENGE),
        "/v1/auth/challenge/solve" => json(200, r#"{"token":"earned","expires_in_s":600}"#),
        "/v1/auth/register" => json(201, r#"{"user_id":"u42"}"#),
        _ => Reply::Cut,
    })
    .await;
    let client = client(&[&server.authority], config());
    let registered = client
        .register_by_work(&ann(), CallOptions::default())
        .await
        .unwrap();
    assert_eq!(registered.user_id.0, 42);
    let seen = server.seen();
    let paths: Vec<&str> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/v1/auth/challenge",
            "/v1/auth/challenge/solve",
            "/v1/auth/register"
        ]
    );
    assert_eq!(seen[2].header("authorization"), Some("Bearer earned"));
}

#[tokio::test]
async fn no_server_makes_a_client_work_for_ever() {
    let monstrous = CHALLENGE.replace(r#""keyPrefix":"0""#, r#""keyPrefix":"0000000000""#);
    let server = Server::http(move |_, _| json(200, &monstrous)).await;
    let client = client(&[&server.authority], config());
    let refused = client
        .register_by_work(&ann(), CallOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, ClientError::Invalid { .. }), "{refused}");
    assert_eq!(server.seen().len(), 1, "nothing was handed in");
}
