"""The checks that anybody's store can be put to: each is a plain async function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from ..abc import Store
from . import _store_claiming as claiming
from . import _store_closing as closing
from . import _store_durable as durable
from . import _store_following as following
from . import _store_keeping as keeping
from . import _store_listing as listing
from . import _store_pruning as pruning
from . import _store_writing as writing
from ._store_durable import OpenStore

StoreCheck: TypeAlias = Callable[[Store], Awaitable[None]]
"""Returns, unless a store breaks a promise; it is given a new and empty one, which it may close."""

DurableStoreCheck: TypeAlias = Callable[[OpenStore], Awaitable[None]]
"""The same for what only several stores on one place can show: it is given what opens them."""

STORE_CHECKS: tuple[StoreCheck, ...] = (
    keeping.check_job_is_kept,
    keeping.check_the_largest_is_kept,
    keeping.check_no_result_and_none_differ,
    keeping.check_unknown_job_is_told,
    keeping.check_history_begins_where_asked,
    keeping.check_any_position_can_be_asked_for,
    keeping.check_positions_are_whole_numbers,
    keeping.check_ids_are_apart,
    keeping.check_names_of_no_job_are_refused,
    keeping.check_unstorable_changes_nothing,
    keeping.check_records_of_another_kind_are_refused,
    keeping.check_what_is_loaded_is_of_one_moment,
    keeping.check_values_are_taken_at_once,
    writing.check_second_creation_is_refused,
    writing.check_second_writer_is_told,
    writing.check_of_many_writers_one_commits,
    writing.check_entry_must_follow,
    writing.check_nothing_follows_the_end,
    writing.check_repetition_does_no_harm,
    writing.check_cancelled_call_can_be_repeated,
    writing.check_same_values_by_another_are_refused,
    writing.check_refusal_spares_its_neighbours,
    writing.check_last_progress_counts,
    writing.check_progress_of_the_future_is_refused,
    listing.check_unfinished_are_found,
    listing.check_jobs_are_listed,
    listing.check_jobs_are_listed_as_they_are_now,
    pruning.check_pruned_jobs_are_gone,
    pruning.check_unfinished_jobs_are_never_pruned,
    pruning.check_those_that_ended_last_can_be_kept,
    pruning.check_pruning_goes_by_what_was_recorded,
    pruning.check_followers_skip_pruned_jobs,
    pruning.check_nonsense_prunes_nothing,
    claiming.check_a_name_is_claimed_once,
    claiming.check_claimed_names_are_apart,
    claiming.check_releasing_too_much_does_nothing,
    following.check_follower_misses_nothing,
    following.check_follower_of_all_misses_nothing,
    following.check_follower_goes_on_from_a_position,
    following.check_follower_from_now_on_hears_the_rest,
    following.check_follower_hears_of_its_job_alone,
    following.check_following_an_ended_job_ends,
    following.check_follower_hears_the_last_progress,
    following.check_cancelled_follower_misses_nothing,
    following.check_slow_follower_delays_nobody,
    following.check_streams_are_for_one_reader,
    closing.check_closing_wakes_who_follows,
    closing.check_closed_store_says_so,
    closing.check_leaving_the_block_closes,
    closing.check_cancelled_closing_closes,
    closing.check_unused_store_closes,
    closing.check_what_was_asked_before_closing_is_answered,
)
"""What every store promises."""

DURABLE_STORE_CHECKS: tuple[DurableStoreCheck, ...] = (
    durable.check_jobs_outlive_a_store,
    durable.check_lost_replies_outlive_a_store,
    durable.check_of_two_stores_one_commits,
    durable.check_of_two_stores_one_creates,
    durable.check_positions_rise_whichever_store_writes,
    durable.check_another_store_follows,
    durable.check_closing_one_store_spares_the_others,
    pruning.check_another_store_hears_of_pruning,
    claiming.check_of_two_stores_one_has_a_name,
)
"""What a store promises, besides, that outlives its process or is shared with others."""
