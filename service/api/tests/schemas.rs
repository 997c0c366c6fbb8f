//! What the OpenAPI document will say of the types: the same as what they read and write.

use ostraka_api::{
    CreateEventRequest, LeaderboardEntry, LoginResponse, ProblemBody, RegisterRequest, SubmitVoteRequest,
};
use serde_json::{Value, json};
use utoipa::PartialSchema;

fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).expect("a schema is JSON")
}

#[test]
fn required_fields_are_those_of_the_contract() {
    assert_eq!(
        schema::<SubmitVoteRequest>()["required"],
        json!(["user_id", "event_id", "contestant_id"])
    );
    assert_eq!(
        schema::<RegisterRequest>()["required"],
        json!(["username", "email", "date_of_birth"])
    );
    assert_eq!(
        schema::<CreateEventRequest>()["required"],
        json!(["user_id", "event_name", "contestants"])
    );
}

#[test]
fn ids_moments_and_dates_are_text() {
    let vote = schema::<SubmitVoteRequest>();
    assert_eq!(vote["properties"]["event_id"]["type"], "string");
    assert_eq!(vote["properties"]["client_timestamp"]["format"], "date-time");
    assert_eq!(
        schema::<RegisterRequest>()["properties"]["date_of_birth"]["format"],
        "date"
    );
}

#[test]
fn fields_have_their_names_on_the_wire() {
    assert_eq!(schema::<LoginResponse>()["required"], json!(["userId", "token"]));
    assert_eq!(schema::<ProblemBody>()["properties"]["type"]["type"], "string");
    assert_eq!(
        schema::<LeaderboardEntry>()["properties"]["total_votes"]["type"],
        json!(["integer", "null"])
    );
}
