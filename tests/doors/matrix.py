"""Every door and every fault: where it is tested, and the reason it is documented to give.

Rows and columns are those of the project's rule for bad input: each cell gives the
documented reason, changes nothing and leaks nothing. A cell that cannot exist says
why. ``test_matrix`` holds the table against the tests and the codes that exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FAULTS: Final = (
    "malformed",
    "oversized",
    "truncated",
    "wrong encoding",
    "wrong key",
    "wrong region",
    "clock skew",
    "duplicate members",
    "unknown enum",
)

DOORS: Final = (
    "hub gRPC",
    "adapter gRPC",
    "HTTP",
    "command line",
    "scheme file",
    "policy file",
    "feed",
    "QR text",
    "attestation",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault at one door.

    Attributes:
        reasons: stable codes, or an exit or OAuth word, that the fault may give.
        tests: node ids, below ``tests/``.
        absent: why the fault cannot happen here; then there is nothing else.
    """

    reasons: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    absent: str = ""


def _cell(reasons: str, *tests: str) -> Cell:
    return Cell(tuple(reasons.split()), tests)


_HUB: Final = "doors/test_hub_grpc.py::"
_HUB_FUZZ: Final = (
    _HUB + "test_any_bytes_at_any_method_are_refused_with_a_reason_and_change_nothing"
)
_HUB_TOKENS: Final = _HUB + "test_wrong_tokens_are_refused_at_every_guarded_method"
_HUB_STATEMENTS: Final = _HUB + "test_statements_that_do_not_hold_are_refused_and_change_nothing"
_HUB_PUBLISH: Final = _HUB + "test_a_region_cannot_publish_for_another_nor_with_another_key"
_REGISTRY: Final = "hub/test_app.py::test_bad_input_of_the_registry_gets_its_documented_reason"
_BROKEN_FIELD: Final = "hub/test_exchange_unary.py::test_a_broken_field_is_named"
_ADAPTER: Final = "doors/test_adapter_door.py::"
_ADAPTER_WIRE: Final = (
    _ADAPTER + "test_any_bytes_on_the_wire_are_refused_with_a_reason_and_ask_nobody"
)
_ADAPTER_ITEM: Final = _ADAPTER + "test_each_fault_of_an_item_has_its_reason_and_repeats_nothing"
_ADAPTER_SEALED: Final = (
    _ADAPTER + "test_any_bytes_inside_a_good_envelope_are_refused_or_answered_one_by_one"
)
_SERVICE: Final = "adapters/sdk/test_service.py::"
_HTTP: Final = "doors/test_hub_http.py::"
_HTTP_HEAD: Final = _HTTP + "test_what_is_no_http_is_refused_as_json_and_not_repeated"
_HTTP_BODY: Final = _HTTP + "test_bodies_that_are_no_form_are_refused_with_400_and_change_nothing"
_HTTP_ASSERTION: Final = (
    _HTTP + "test_an_assertion_with_two_readings_or_an_id_no_store_keeps_is_refused"
)
_OAUTH: Final = "hub/test_oauth.py::"
_CLI: Final = "doors/test_cli_door.py::"
_CLI_FILES: Final = _CLI + "test_a_file_that_is_garbage_is_named_and_not_quoted"
_CLI_CITY: Final = _CLI + "test_a_city_file_that_is_garbage_has_its_problem_and_line"
_GATE: Final = "cli/test_checkpoint.py::"
_SCHEME: Final = "codes/test_schemes.py::"
_YAML: Final = "codes/test_yamldoc.py::"
_POLICY: Final = "recognition/test_loading.py::"
_FEED_EDGE: Final = "doors/test_edge_door.py::test_a_hub_that_streams_anything_moves_no_replica"
_FOLLOWER: Final = "edge/test_follower.py::test_what_does_not_hold_is_refused_and_changes_nothing"
_REPLICA: Final = "trust/test_replica.py::"
_QR_EDGE: Final = (
    "doors/test_edge_door.py::test_whatever_is_scanned_is_decided_or_refused_and_never_admitted"
)
_DECIDE: Final = "edge/test_decide.py::"
_CARRIED: Final = _DECIDE + "test_a_carried_attestation_that_does_not_hold_says_why"
_ARMOUR: Final = "attestation/test_armour.py::"
_VERIFY: Final = "attestation/test_verifying.py::"
_CLAIMS: Final = "attestation/test_claims.py::"

MATRIX: Final[dict[str, dict[str, Cell]]] = {
    "hub gRPC": {
        "malformed": _cell(
            "INVALID_REQUEST STATEMENT_INVALID TOKEN_INVALID", _HUB_FUZZ, _REGISTRY, _HUB_TOKENS
        ),
        "oversized": _cell(
            "MESSAGE_TOO_LARGE INVALID_REQUEST",
            _HUB + "test_a_message_too_large_or_packed_to_burst_is_refused",
            "hub/test_exchange_stream.py::test_a_message_beyond_the_limit_ends_the_stream",
            _BROKEN_FIELD,
        ),
        "truncated": _cell("INVALID_REQUEST STATEMENT_INVALID", _HUB_FUZZ, _HUB_STATEMENTS),
        "wrong encoding": _cell(
            "INVALID_REQUEST PAGE_TOKEN_INVALID STATEMENT_INVALID",
            _HUB_FUZZ,
            _REGISTRY,
            _HUB_PUBLISH,
        ),
        "wrong key": _cell(
            "TOKEN_INVALID STATEMENT_INVALID POSSESSION_NOT_PROVEN",
            _HUB_STATEMENTS,
            _HUB_PUBLISH,
            "hub/test_access.py::test_a_token_of_a_foreign_key_is_invalid",
            _HUB + "test_a_channel_under_another_root_says_nothing_to_the_hub",
        ),
        "wrong region": _cell(
            "UNKNOWN_REGION STATEMENT_INVALID",
            "hub/test_exchange_unary.py::test_an_unknown_region_is_not_found",
            _HUB_STATEMENTS,
            _HUB_PUBLISH,
        ),
        "clock skew": _cell(
            "STATEMENT_INVALID POSSESSION_NOT_PROVEN TOKEN_EXPIRED TOKEN_INVALID",
            _HUB_STATEMENTS,
            "hub/test_access.py::test_a_token_with_one_claim_that_does_not_hold_is_invalid",
            "hub/test_exchange_stream.py::"
            "test_a_token_that_expires_refuses_items_and_ends_the_stream",
        ),
        "duplicate members": _cell(
            "TOKEN_MISSING INVALID_REQUEST POSSESSION_NOT_PROVEN STATEMENT_INVALID",
            _HUB_TOKENS,
            _HUB_STATEMENTS,
            _REGISTRY,
        ),
        "unknown enum": _cell("INVALID_REQUEST", _BROKEN_FIELD, _REGISTRY),
    },
    "adapter gRPC": {
        "malformed": _cell(
            "INVALID_REQUEST ENVELOPE_UNREADABLE", _ADAPTER_WIRE, _ADAPTER_ITEM, _ADAPTER_SEALED
        ),
        "oversized": _cell(
            "INVALID_REQUEST",
            _ADAPTER_ITEM,
            _SERVICE + "test_the_largest_batch_is_answered_whole_even_where_its_answers_do_not_fit",
        ),
        "truncated": _cell(
            "ENVELOPE_UNREADABLE INVALID_REQUEST", _ADAPTER_ITEM, _ADAPTER_SEALED, _ADAPTER_WIRE
        ),
        "wrong encoding": _cell("ENVELOPE_UNREADABLE", _ADAPTER_SEALED),
        "wrong key": _cell(
            "SEALING_KEY_UNKNOWN TOKEN_INVALID TOKEN_MISSING",
            _ADAPTER_ITEM,
            _SERVICE + "test_a_grant_by_a_stranger_is_refused_and_none_at_all_too",
        ),
        "wrong region": _cell(
            "UNKNOWN_REGION AUDIENCE_NOT_ALLOWED ENVELOPE_UNREADABLE",
            _ADAPTER_ITEM,
            _SERVICE + "test_what_the_grant_does_not_allow_is_refused",
            _SERVICE + "test_what_binds_the_envelope_must_be_what_it_came_with",
        ),
        "clock skew": _cell(
            "QUESTION_STALE TOKEN_EXPIRED",
            _SERVICE + "test_a_question_of_another_time_is_stale",
            _SERVICE + "test_a_clock_a_minute_apart_is_accepted",
            _SERVICE + "test_a_grant_expires_although_its_verification_is_remembered",
        ),
        "duplicate members": _cell(
            "QUESTION_REPLAYED DUPLICATE_ID",
            _SERVICE + "test_a_batch_is_answered_in_order_and_a_bad_question_costs_only_itself",
            _SERVICE + "test_an_id_in_flight_is_refused_and_a_cancelled_one_is_let_go",
        ),
        "unknown enum": _cell(
            "INVALID_REQUEST",
            _ADAPTER_ITEM,
            _SERVICE + "test_a_batch_is_answered_in_order_and_a_bad_question_costs_only_itself",
        ),
    },
    "HTTP": {
        "malformed": _cell(
            "INVALID_REQUEST invalid_request invalid_client",
            _HTTP_HEAD,
            _HTTP_BODY,
            _HTTP + "test_any_body_under_any_headers_is_answered_below_500",
        ),
        "oversized": _cell("MESSAGE_TOO_LARGE INVALID_REQUEST", _HTTP_BODY, _HTTP_HEAD),
        "truncated": _cell(
            "invalid_client",
            _HTTP_ASSERTION,
            "hub/test_http_door.py::test_a_body_that_never_arrives_holds_nobody_up",
        ),
        "wrong encoding": _cell("invalid_request invalid_client", _HTTP_BODY, _HTTP_ASSERTION),
        "wrong key": _cell(
            "invalid_client", _OAUTH + "test_a_bad_assertion_is_refused_like_any_other"
        ),
        "wrong region": _cell("invalid_client", _HTTP_ASSERTION),
        "clock skew": _cell(
            "invalid_client",
            _HTTP_ASSERTION,
            _OAUTH + "test_a_bad_claim_is_refused_and_spends_nothing",
        ),
        "duplicate members": _cell("invalid_request invalid_client", _HTTP_BODY, _HTTP_ASSERTION),
        "unknown enum": _cell(
            "unsupported_grant_type invalid_scope",
            _OAUTH + "test_bad_requests_get_the_errors_of_rfc_6749",
        ),
    },
    "command line": {
        "malformed": _cell(
            "USAGE PRESENTATION_MALFORMED DOCUMENT_INVALID",
            _CLI + "test_a_wrong_command_line_leaves_with_64",
            _CLI + "test_any_words_leave_with_a_code_and_never_with_a_traceback",
            _GATE + "test_bad_input_at_the_command_line_has_its_reason",
        ),
        "oversized": _cell(
            "PRESENTATION_TOO_LONG SETTINGS_INVALID",
            _CLI_FILES,
            _GATE + "test_bad_input_at_the_command_line_has_its_reason",
        ),
        "truncated": _cell("SETTINGS_INVALID ANCHOR_INVALID HUB_SETUP", _CLI_FILES),
        "wrong encoding": _cell(
            "USAGE PRESENTATION_MALFORMED SETTINGS_INVALID",
            _CLI + "test_an_argument_that_is_not_utf_8_is_refused",
            _CLI_FILES,
            "edge/test_manifest.py::test_an_unreliable_file_is_refused_whole_with_its_line",
        ),
        "wrong key": _cell(
            "SETTINGS_INVALID", _GATE + "test_a_key_file_that_others_may_read_is_refused"
        ),
        "wrong region": _cell(
            "USAGE DIVISION_INVALID",
            _CLI + "test_a_wrong_command_line_leaves_with_64",
            "codes/test_divisions.py::test_another_shape_is_invalid",
        ),
        "clock skew": _cell("USAGE", _CLI + "test_a_wrong_command_line_leaves_with_64"),
        "duplicate members": _cell(
            "ANCHOR_INVALID HUB_SETUP MANIFEST_DUPLICATE_REF",
            _CLI_FILES,
            _CLI + "test_an_operator_file_of_another_shape_is_refused",
            "edge/test_manifest.py::test_an_unreliable_file_is_refused_whole_with_its_line",
        ),
        "unknown enum": _cell(
            "USAGE DOCUMENT_INVALID",
            _CLI + "test_a_wrong_command_line_leaves_with_64",
            _GATE + "test_bad_input_at_the_command_line_has_its_reason",
        ),
    },
    "scheme file": {
        "malformed": _cell(
            "SCHEME_INVALID YAML_INVALID",
            _SCHEME + "test_what_is_no_document_is_refused_with_its_line",
            _SCHEME + "test_any_bytes_are_refused_as_a_scheme",
            _CLI_CITY,
        ),
        "oversized": _cell(
            "SCHEME_INVALID YAML_INVALID",
            _SCHEME + "test_a_scheme_larger_than_a_statement_is_refused",
            _YAML + "test_size_is_bounded_inclusively",
            _YAML + "test_depth_is_bounded_before_anything_is_built",
        ),
        "truncated": _cell(
            "SCHEME_INVALID",
            _SCHEME + "test_a_scheme_with_a_piece_cut_out_loads_or_is_refused_with_problems",
        ),
        "wrong encoding": _cell(
            "YAML_INVALID",
            _YAML + "test_bytes_that_are_not_utf8_are_refused_with_their_line",
            _CLI_CITY,
        ),
        "wrong key": _cell("STATEMENT_INVALID", _HUB_STATEMENTS),
        "wrong region": _cell(
            "SCHEME_INVALID STATEMENT_INVALID",
            _SCHEME + "test_one_wrong_member_is_named_and_nothing_else_matters",
            _HUB_STATEMENTS,
        ),
        "clock skew": _cell(
            "SCHEME_NOT_IN_FORCE",
            _SCHEME + "test_the_version_in_force_begins_inclusive_and_ends_exclusive",
            _SCHEME + "test_a_gap_between_versions_is_in_force_for_nobody",
        ),
        "duplicate members": _cell(
            "YAML_INVALID SCHEME_INVALID",
            _YAML + "test_what_the_reader_leaves_out_is_refused_with_its_line",
            _SCHEME + "test_one_wrong_member_is_named_and_nothing_else_matters",
        ),
        "unknown enum": _cell(
            "SCHEME_INVALID", _SCHEME + "test_one_wrong_member_is_named_and_nothing_else_matters"
        ),
    },
    "policy file": {
        "malformed": _cell(
            "POLICY_INVALID",
            _POLICY + "test_what_is_no_such_document_is_refused_with_its_line",
            _POLICY + "test_any_bytes_are_refused_with_problems",
        ),
        "oversized": _cell("POLICY_INVALID", _POLICY + "test_size_and_number_of_rules_are_bounded"),
        "truncated": _cell(
            "POLICY_INVALID",
            _POLICY + "test_a_file_with_a_piece_cut_out_loads_or_names_a_line",
        ),
        "wrong encoding": _cell(
            "POLICY_INVALID",
            _POLICY + "test_any_bytes_are_refused_with_problems",
            _YAML + "test_bytes_that_are_not_utf8_are_refused_with_their_line",
        ),
        "wrong key": _cell("STATEMENT_INVALID", _HUB_PUBLISH, _HUB_STATEMENTS),
        "wrong region": _cell(
            "POLICY_INVALID STATEMENT_INVALID",
            _POLICY + "test_each_problem_is_named_with_its_line",
            _HUB_PUBLISH,
        ),
        "clock skew": _cell(
            "POLICY_NOT_IN_FORCE", "recognition/test_decision.py::test_a_policy_not_in_force_refers"
        ),
        "duplicate members": _cell(
            "POLICY_INVALID", _POLICY + "test_what_is_no_such_document_is_refused_with_its_line"
        ),
        "unknown enum": _cell(
            "POLICY_INVALID", _POLICY + "test_each_problem_is_named_with_its_line"
        ),
    },
    "feed": {
        "malformed": _cell(
            "FEED_MALFORMED",
            _FEED_EDGE,
            _FOLLOWER,
            "trust/test_replica_properties.py::test_any_texts_are_refused",
        ),
        "oversized": _cell(
            "FEED_MALFORMED",
            "trust/test_replica_snapshots.py::test_what_is_live_is_bounded",
            "trust/test_jws.py::test_the_size_limit_is_inclusive",
        ),
        "truncated": _cell(
            "FEED_MALFORMED FEED_SIGNATURE",
            _FEED_EDGE,
            "trust/test_replica_snapshots.py::test_a_snapshot_with_one_thing_out_of_place_is_refused",
            "trust/test_replica_on_disk.py::test_a_damaged_file_is_refused",
        ),
        "wrong encoding": _cell(
            "FEED_MALFORMED",
            _FEED_EDGE,
            "trust/test_jws.py::test_a_token_in_another_spelling_is_refused",
        ),
        "wrong key": _cell(
            "FEED_SIGNATURE",
            _FOLLOWER,
            _REPLICA + "test_a_foreign_signature_is_refused",
            "trust/test_feed.py::test_a_foreign_key_is_a_foreign_signature",
        ),
        "wrong region": _cell(
            "FEED_MALFORMED",
            "trust/test_replica_statements.py::test_a_region_publishes_for_its_own_prefixes_alone",
            "trust/test_replica_statements.py::test_a_statement_by_another_regions_key_is_refused",
        ),
        "clock skew": _cell(
            "FEED_FROM_FUTURE FEED_ROLLED_BACK",
            _FOLLOWER,
            _REPLICA + "test_what_comes_from_the_future_is_refused",
            "edge/test_follower.py::test_a_clock_that_runs_behind_does_not_cost_the_replica",
        ),
        "duplicate members": _cell(
            "FEED_MALFORMED FEED_FORK",
            "trust/test_jws.py::test_a_payload_that_is_not_one_object_with_one_reading_is_refused",
            _REPLICA + "test_a_second_entry_for_a_number_is_a_fork",
        ),
        "unknown enum": _cell(
            "FEED_MALFORMED",
            "trust/test_feed.py::test_an_entry_with_one_claim_out_of_place_is_malformed",
        ),
    },
    "QR text": {
        "malformed": _cell(
            "PRESENTATION_MALFORMED PRESENTATION_UNRECOGNISED ARMOUR_INVALID",
            _QR_EDGE,
            _DECIDE + "test_what_cannot_be_used_is_told_and_asks_nobody",
            _ARMOUR + "test_any_text_is_refused_or_read_and_nothing_else_happens",
        ),
        "oversized": _cell(
            "PRESENTATION_TOO_LONG ARMOUR_INVALID",
            _DECIDE + "test_what_cannot_be_used_is_told_and_asks_nobody",
            _ARMOUR + "test_a_bomb_is_not_unpacked",
        ),
        "truncated": _cell(
            "ARMOUR_INVALID PRESENTATION_UNRECOGNISED",
            _CARRIED,
            _ARMOUR + "test_what_follows_or_is_missing_is_refused",
            _DECIDE + "test_what_cannot_be_used_is_told_and_asks_nobody",
        ),
        "wrong encoding": _cell(
            "ARMOUR_INVALID PRESENTATION_MALFORMED",
            _ARMOUR + "test_what_is_not_base45_is_refused",
            _ARMOUR + "test_a_stranger_text_is_no_armour",
            _GATE + "test_bad_input_at_the_command_line_has_its_reason",
        ),
        "wrong key": _cell("SIGNATURE_INVALID", _CARRIED),
        "wrong region": _cell(
            "WRONG_REGION AUDIENCE_MISMATCH",
            _DECIDE + "test_a_named_origin_is_asked_even_about_a_foreign_code",
            _SERVICE + "test_a_qr_text_of_another_scheme_is_wrong_region_and_not_asked",
            _CARRIED,
        ),
        "clock skew": _cell("ATTESTATION_EXPIRED", _CARRIED),
        "duplicate members": _cell(
            "AMBIGUOUS_PRESENTATION", _DECIDE + "test_an_ambiguous_code_asks_back_with_names"
        ),
        "unknown enum": Cell(absent="a QR text names no enumeration; a foreign mark is malformed"),
    },
    "attestation": {
        "malformed": _cell(
            "ATTESTATION_MALFORMED CLAIMS_INVALID ATTESTATION_HEADER",
            _VERIFY + "test_what_is_not_three_canonical_segments_is_refused",
            _VERIFY + "test_bytes_from_anywhere_are_refused",
            _CLAIMS + "test_what_is_no_json_is_malformed",
            _QR_EDGE,
        ),
        "oversized": _cell("ATTESTATION_TOO_LARGE", _VERIFY + "test_a_token_is_at_most_8_kib"),
        "truncated": _cell(
            "ATTESTATION_MALFORMED SIGNATURE_INVALID",
            _VERIFY + "test_what_is_not_three_canonical_segments_is_refused",
            _QR_EDGE,
        ),
        "wrong encoding": _cell(
            "ATTESTATION_MALFORMED",
            _VERIFY + "test_another_spelling_of_the_same_signature_is_refused",
            "attestation/test_strict_json.py::test_what_is_not_one_json_text_in_utf8_is_refused",
        ),
        "wrong key": _cell(
            "SIGNATURE_INVALID KEY_UNKNOWN ATTESTATION_ALGORITHM",
            _VERIFY + "test_a_signature_of_another_key_is_refused",
            _VERIFY + "test_a_key_is_looked_up_by_issuer_and_id_together",
            _VERIFY + "test_the_algorithm_is_that_of_the_key",
        ),
        "wrong region": _cell(
            "AUDIENCE_MISMATCH ISSUER_NOT_ALLOWED",
            _VERIFY + "test_an_audience_holds_for_what_it_contains",
            _VERIFY + "test_an_issuer_outside_the_divisions_of_its_key_is_refused",
            _DECIDE + "test_every_fault_of_the_answer_fails_closed",
        ),
        "clock skew": _cell(
            "ATTESTATION_EXPIRED ATTESTATION_NOT_YET_VALID KEY_NOT_VALID_NOW LIFETIME_TOO_LONG",
            _VERIFY + "test_validity_is_exact_to_the_second_of_its_leeway",
            _VERIFY + "test_a_key_holds_from_its_first_moment_to_before_its_last",
            _CLAIMS + "test_a_life_is_bounded_by_its_use",
        ),
        "duplicate members": _cell(
            "CLAIMS_INVALID",
            _CLAIMS + "test_a_doubled_member_is_refused_wherever_it_stands",
            _CLAIMS + "test_a_member_doubled_with_another_value_is_refused",
        ),
        "unknown enum": _cell(
            "CLAIMS_INVALID ATTESTATION_HEADER",
            _CLAIMS + "test_a_code_that_is_wrong_in_one_thing_is_refused",
            _VERIFY + "test_a_header_that_is_wrong_in_one_thing_is_refused",
        ),
    },
}
