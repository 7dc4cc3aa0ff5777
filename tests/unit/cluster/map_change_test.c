#include "cluster/map_merge.h"
#include "tests/unit/cluster/maps.h"

#include "base/random.h"

START_TEST(a_node_that_joins_is_a_shard_of_its_own) {
    ck_assert(maps_apply(maps_node_add('a')));
    ck_assert(maps_apply(maps_node_add('b')));
    ck_assert_uint_eq(maps.map->nodes_count, 2);
    ck_assert_uint_eq(maps.map->shards_count, 2);
    ck_assert(map_is_primary(maps.map, maps_find('b')));
    ck_assert_uint_eq(maps.map->index, 2);
}
END_TEST

START_TEST(a_node_that_joins_twice_tells_where_it_is_now) {
    ck_assert(maps_apply(maps_node_add('a')));
    struct map_change again = maps_node_add('a');
    strcpy(again.facts.ip, "10.9.9.9");
    ck_assert(maps_apply(again));
    ck_assert_uint_eq(maps.map->nodes_count, 1);
    ck_assert_str_eq(maps.map->nodes[0].facts.ip, "10.9.9.9");
}
END_TEST

START_TEST(a_slot_is_given_once) {
    maps_fill();
    ck_assert_uint_eq(maps.map->slots_owned, SLOTS);
    maps_expect_error(maps_slots(MAP_SLOTS_ADD, 'b', 7, 7), "ERR Slot 7 is already busy");
    maps_expect_error(maps_slots(MAP_SLOTS_ADD, 'c', 7, 7), "ERR A replica owns no slots");
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_DELETE, '\0', 7, 7)));
    ck_assert_uint_eq(map_slot_owner(maps.map, 7), MAP_NOBODY);
    maps_expect_error(maps_slots(MAP_SLOTS_DELETE, '\0', 7, 7), "ERR Slot 7 is already unassigned");
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_ADD, 'b', 7, 7)));
    ck_assert_uint_eq(map_slot_owner(maps.map, 7), maps_find('b'));
}
END_TEST

START_TEST(of_an_entry_all_changes_take_place_or_none) {
    maps_fill();
    struct map_change changes[] = {
        maps_slots(MAP_SLOTS_DELETE, '\0', 0, 9),
        maps_slots(MAP_SLOTS_ADD, 'b', 5, 10),
    };
    uint64_t index = maps.map->index;
    ck_assert(!maps_apply_all(changes, 2));
    ck_assert_str_eq(maps.report.bytes, "ERR Slot 10 is already busy");
    ck_assert_uint_eq(maps.map->index, index);
    ck_assert_uint_eq(map_slot_owner(maps.map, 5), maps_find('a'));
}
END_TEST

START_TEST(a_classic_move_marks_both_ends_and_ends_with_the_owner) {
    maps_fill();
    maps_expect_error(maps_pair(MAP_MIGRATING, 'b', 'a', 3),
                      "ERR I'm not the owner of hash slot 3");
    maps_expect_error(maps_pair(MAP_IMPORTING, 'a', 'b', 3),
                      "ERR I'm already the owner of hash slot 3");
    maps_expect_error(maps_pair(MAP_MIGRATING, 'a', 'c', 3), "ERR Target node is not a master");
    ck_assert(maps_apply(maps_pair(MAP_IMPORTING, 'b', 'a', 3)));
    ck_assert(maps_apply(maps_pair(MAP_MIGRATING, 'a', 'b', 3)));
    const struct map_slot *slot = &maps.map->slots[3];
    ck_assert_uint_eq(slot->migrating_to, maps_find('b'));
    ck_assert_uint_eq(slot->importer, maps_find('b'));
    uint64_t epoch = maps.map->current_epoch;
    ck_assert(maps_apply(maps_pair(MAP_SLOT_OWNER, 'b', 'b', 3)));
    slot = &maps.map->slots[3];
    ck_assert_uint_eq(map_slot_owner(maps.map, 3), maps_find('b'));
    ck_assert_uint_eq(slot->migrating_to, MAP_NOBODY);
    ck_assert_uint_eq(slot->importer, MAP_NOBODY);
    ck_assert_uint_eq(maps.map->current_epoch, epoch + 1);
    ck_assert(maps_apply(maps_pair(MAP_SLOT_OWNER, 'b', 'b', 3)));
}
END_TEST

START_TEST(a_stable_slot_has_no_marks) {
    maps_fill();
    ck_assert(maps_apply(maps_pair(MAP_IMPORTING, 'b', 'a', 3)));
    ck_assert(maps_apply(maps_pair(MAP_MIGRATING, 'a', 'b', 3)));
    ck_assert(maps_apply(maps_pair(MAP_STABLE, 'a', 'a', 3)));
    ck_assert_uint_eq(maps.map->slots[3].migrating_to, MAP_NOBODY);
    ck_assert_uint_eq(maps.map->slots[3].importer, maps_find('b'));
    ck_assert(maps_apply(maps_pair(MAP_STABLE, 'b', 'b', 3)));
    ck_assert_uint_eq(maps.map->slots[3].importer, MAP_NOBODY);
}
END_TEST

START_TEST(a_primary_with_slots_replicates_nobody) {
    maps_fill();
    maps_expect_error(maps_pair(MAP_REPLICATE, 'a', 'b', 0),
                      "ERR To set a master the node must be empty and without assigned slots.");
    maps_expect_error(maps_pair(MAP_REPLICATE, 'b', 'c', 0),
                      "ERR I can only replicate a master, not a replica.");
    maps_expect_error(maps_pair(MAP_REPLICATE, 'b', 'b', 0), "ERR Can't replicate myself");
    maps_expect_error(maps_pair(MAP_REPLICATE, 'c', 'x', 0),
                      "ERR Unknown node 7878787878787878787878787878787878787878");
}
END_TEST

START_TEST(slots_of_others_are_taken_from_them_only_when_they_have_failed) {
    maps_fill();
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_DELETE, 'a', SLOTS - 1, SLOTS - 1)));
    ck_assert_uint_eq(map_slot_owner(maps.map, SLOTS - 1), maps_find('b'));
    struct map_change failed = maps_change(MAP_NODE_HEALTH, 'b');
    failed.flag = true;
    ck_assert(maps_apply(failed));
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_DELETE, 'a', SLOTS - 1, SLOTS - 1)));
    ck_assert_uint_eq(map_slot_owner(maps.map, SLOTS - 1), MAP_NOBODY);
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_ADD, 'a', SLOTS - 1, SLOTS - 1)));
    ck_assert_uint_eq(map_slot_owner(maps.map, SLOTS - 1), maps_find('a'));
}
END_TEST

START_TEST(a_primary_that_replicates_takes_its_replicas_along) {
    maps_fill();
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_DELETE, 'a', 0, SLOTS / 2 - 1)));
    ck_assert(maps_apply(maps_pair(MAP_REPLICATE, 'a', 'b', 0)));
    ck_assert_uint_eq(map_primary_of(maps.map, maps_find('c')), maps_find('b'));
    ck_assert_uint_eq(maps.map->shards_count, 1);
    ck_assert(!maps.map->nodes[maps_find('c')].is_in_sync);
}
END_TEST

START_TEST(a_promotion_by_who_knew_an_older_epoch_changes_nothing) {
    maps_fill();
    struct map_change promote = maps_change(MAP_PROMOTE, 'c');
    promote.epoch = maps_epoch('a');
    ck_assert(maps_apply(promote));
    ck_assert_uint_eq(map_slot_owner(maps.map, 0), maps_find('c'));
    ck_assert_uint_eq(maps_epoch('a'), maps.map->index);
    struct map_change late = maps_change(MAP_PROMOTE, 'a');
    late.epoch = promote.epoch;
    ck_assert(!maps_apply(late));
    ck_assert_uint_eq(map_slot_owner(maps.map, 0), maps_find('c'));
}
END_TEST

START_TEST(only_who_is_in_sync_is_promoted_unless_told_so) {
    maps_fill();
    struct map_change in_sync = maps_change(MAP_IN_SYNC, 'c');
    in_sync.epoch = maps_epoch('a');
    ck_assert(maps_apply(in_sync));
    struct map_change promote = maps_change(MAP_PROMOTE, 'c');
    promote.epoch = in_sync.epoch;
    maps_expect_error(promote, "ERR The node may lack what its primary has acknowledged");
    promote.flag = true;
    ck_assert(maps_apply(promote));
    in_sync = maps_change(MAP_IN_SYNC, 'c');
    in_sync.epoch = maps_epoch('c');
    maps_expect_error(in_sync, "ERR A primary is always in sync");
}
END_TEST

START_TEST(a_primary_of_others_is_not_forgotten_while_it_has_slots) {
    maps_fill();
    ck_assert(!maps_apply(maps_change(MAP_NODE_REMOVE, 'a')));
    ck_assert(maps_apply(maps_change(MAP_NODE_REMOVE, 'c')));
    ck_assert(maps_apply(maps_change(MAP_NODE_REMOVE, 'a')));
    ck_assert_uint_eq(maps.map->nodes_count, 1);
    ck_assert_uint_eq(map_slot_owner(maps.map, SLOTS - 1), maps_find('b'));
    ck_assert_uint_eq(map_slot_owner(maps.map, 0), MAP_NOBODY);
}
END_TEST

START_TEST(of_a_forgotten_primary_without_slots_a_replica_in_sync_takes_the_place) {
    for (char name = 'a'; name <= 'd'; name++) {
        ck_assert(maps_apply(maps_node_add(name)));
    }
    ck_assert(maps_apply(maps_pair(MAP_REPLICATE, 'c', 'b', 0)));
    struct map_change replicate = maps_pair(MAP_REPLICATE, 'd', 'b', 0);
    replicate.flag = true;
    ck_assert(maps_apply(replicate));
    ck_assert(maps_apply(maps_change(MAP_NODE_REMOVE, 'b')));
    ck_assert_uint_eq(maps.map->nodes_count, 3);
    ck_assert(map_is_primary(maps.map, maps_find('d')));
    ck_assert_uint_eq(map_primary_of(maps.map, maps_find('c')), maps_find('d'));
    ck_assert_uint_eq(maps_epoch('d'), maps.map->index);
}
END_TEST

/* One of them may have read its map from a snapshot, while the other has applied every change. */
START_TEST(shards_take_the_same_places_whether_the_map_was_read_or_changed) {
    maps_fill();
    ck_assert(maps_apply(maps_node_add('d')));
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_DELETE, '\0', 0, SLOTS - 1)));
    ck_assert(maps_apply(maps_pair(MAP_REPLICATE, 'a', 'b', 0)));
    struct buffer bytes = BUFFER_EMPTY;
    struct buffer after = BUFFER_EMPTY;
    struct buffer read_after = BUFFER_EMPTY;
    map_write(maps.map, &bytes);
    struct map *changed = maps.map;
    maps.map = map_read(buffer_span(&bytes));
    ck_assert(maps_apply(maps_node_add('e')));
    map_write(maps.map, &read_after);
    map_return(maps.map);
    maps.map = changed;
    maps.index--;
    ck_assert(maps_apply(maps_node_add('e')));
    map_write(maps.map, &after);
    ck_assert(span_equal(buffer_span(&after), buffer_span(&read_after)));
    buffer_free(&bytes);
    buffer_free(&after);
    buffer_free(&read_after);
}
END_TEST

START_TEST(a_node_that_is_forgotten_twice_is_no_error) {
    maps_fill();
    maps_expect_error(maps_change(MAP_NODE_REMOVE, 'x'),
                      "ERR Unknown node 7878787878787878787878787878787878787878");
    ck_assert(maps_apply(maps_change(MAP_NODE_REMOVE, 'c')));
    ck_assert(maps_apply(maps_change(MAP_NODE_REMOVE, 'c')));
    ck_assert(maps_apply(maps_node_add('c')));
    ck_assert(maps_apply(maps_change(MAP_NODE_REMOVE, 'c')));
    ck_assert_uint_eq(maps.map->removed_count, 1);
}
END_TEST

static bool lacks_member(char node) {
    return maps.map->shards[maps.map->nodes[maps_find(node)].shard].lacks_member;
}

START_TEST(a_shard_lacks_who_is_taken_out_of_its_set_by_hand_until_its_quorum_is_set_anew) {
    maps_fill();
    struct map_change quorum = maps_change(MAP_QUORUM, 'a');
    quorum.slot = 2;
    quorum.epoch = maps_epoch('a');
    ck_assert(maps_apply(quorum));
    ck_assert(!lacks_member('a'));
    ck_assert(maps_apply(maps_pair(MAP_REPLICATE, 'c', 'b', 0)));
    ck_assert(lacks_member('a'));
    struct buffer bytes = BUFFER_EMPTY;
    map_write(maps.map, &bytes);
    map_return(maps.map);
    maps.map = map_read(buffer_span(&bytes));
    buffer_free(&bytes);
    ck_assert(lacks_member('a'));
    ck_assert(maps_apply(quorum));
    ck_assert(!lacks_member('a'));
    ck_assert(maps_apply(maps_pair(MAP_REPLICATE, 'c', 'a', 0)));
    ck_assert(maps_apply(maps_change(MAP_NODE_REMOVE, 'c')));
    ck_assert(!lacks_member('a')); /* it was not in the set */
}
END_TEST

START_TEST(a_successor_is_in_sync_and_its_process_is_known) {
    maps_fill();
    struct map_change succeed = maps_pair(MAP_SUCCEED, 'c', 'P', 0);
    succeed.epoch = maps_epoch('a') + 1;
    ck_assert(!maps_apply(succeed));
    succeed.epoch = maps_epoch('a');
    ck_assert(maps_apply(succeed));
    const struct map_shard *shard = &maps.map->shards[maps.map->nodes[maps_find('c')].shard];
    ck_assert_uint_eq(shard->primary, maps_find('c'));
    ck_assert_uint_eq(shard->epoch, maps.index);
    ck_assert_uint_eq(shard->granted[0], 'P');
    ck_assert(!maps.map->nodes[maps_find('a')].is_in_sync);
    succeed = maps_pair(MAP_SUCCEED, 'a', 'Q', 0);
    succeed.epoch = maps_epoch('a');
    maps_expect_error(succeed, "ERR The node may lack what its primary has acknowledged");
}
END_TEST

START_TEST(maps_merge_unless_both_own_a_slot) {
    maps_fill();
    struct map *first = map_borrow(maps.map);
    struct map *alone = map_new(maps.map->group);
    map_return(maps.map);
    maps.map = alone;
    ck_assert(maps_apply(maps_node_add('d')));
    ck_assert(maps_apply(maps_node_add('e')));
    struct map_change replicate = maps_pair(MAP_REPLICATE, 'e', 'd', 0);
    replicate.flag = true;
    ck_assert(maps_apply(replicate));
    struct map *merged = map_merge(first, 50, maps.map, &maps.report);
    ck_assert_ptr_nonnull(merged);
    ck_assert_uint_eq(merged->nodes_count, 5);
    ck_assert_uint_eq(merged->shards_count, 3);
    map_check(merged);
    struct map *again = map_merge(merged, 51, maps.map, &maps.report);
    ck_assert_ptr_nonnull(again);
    ck_assert_uint_eq(again->nodes_count, 5);
    buffer_clear(&maps.report);
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_ADD, 'd', 7, 7)));
    buffer_clear(&maps.report);
    ck_assert_ptr_null(map_merge(first, 52, maps.map, &maps.report));
    ck_assert(span_equal(buffer_span(&maps.report), span_of_string("ERR Slot 7 is already busy")));
    map_return(merged);
    map_return(again);
    map_return(first);
}
END_TEST

START_TEST(config_epochs_are_set_once_and_alone) {
    ck_assert(maps_apply(maps_node_add('a')));
    struct map_change set = maps_change(MAP_CONFIG_EPOCH, 'a');
    set.epoch = 5;
    ck_assert(maps_apply(set));
    maps_expect_error(set, "ERR Node config epoch is already non-zero");
    ck_assert(maps_apply(maps_change(MAP_EPOCH_BUMP, 'a')));
    ck_assert_uint_eq(maps.map->current_epoch, 5);
    ck_assert(maps_apply(maps_node_add('b')));
    ck_assert(maps_apply(maps_change(MAP_EPOCH_BUMP, 'b')));
    ck_assert_uint_eq(maps.map->current_epoch, 6);
    set = maps_change(MAP_CONFIG_EPOCH, 'b');
    set.epoch = 9;
    maps_expect_error(set,
                      "ERR The user can assign a config epoch only when the node does not know any "
                      "other node.");
}
END_TEST

static bool apply_random(struct random *random) {
    static const enum map_change_kind last = MAP_NO_FAILOVER;
    struct map_change change = maps_node_add((char)('a' + random_below(random, 12)));
    change.kind = (enum map_change_kind)(1 + random_below(random, last));
    if (change.kind != MAP_NODE_ADD) {
        memset(change.peer, (char)('a' + random_below(random, 12)), MAP_ID_BYTES);
    }
    change.slot = (uint16_t)random_below(random, 64);
    change.flag = random_below(random, 2) == 0;
    change.epoch = random_below(random, 2) == 0 ? maps.index : random_below(random, 8);
    if (change.kind == MAP_SLOTS_DELETE && random_below(random, 2) == 0) {
        memset(change.node, 0, MAP_ID_BYTES);
    }
    for (uint64_t n = random_below(random, 4); n > 0; n--) {
        slot_set_add(&change.slots, (uint16_t)random_below(random, 64));
    }
    uint16_t node = map_find(maps.map, change.node);
    if (change.kind == MAP_PROMOTE && node != MAP_NOBODY) {
        change.epoch = maps.map->shards[maps.map->nodes[node].shard].epoch;
    }
    return maps_apply(change); /* Which asserts the invariants. */
}

START_TEST(any_changes_keep_the_invariants_and_survive_as_bytes) {
    struct random random;
    random_seed(&random, 1);
    uint32_t done = 0;
    for (int i = 0; i < 3000; i++) {
        done += apply_random(&random);
        if (i % 10 != 0) {
            continue;
        }
        struct buffer bytes = BUFFER_EMPTY;
        struct buffer again = BUFFER_EMPTY;
        map_write(maps.map, &bytes);
        struct map *read = map_read(buffer_span(&bytes));
        ck_assert_ptr_nonnull(read);
        map_write(read, &again);
        ck_assert(span_equal(buffer_span(&bytes), buffer_span(&again)));
        map_return(maps.map);
        maps.map = read; /* Free places are elsewhere now, and nobody sees it. */
        buffer_free(&bytes);
        buffer_free(&again);
    }
    ck_assert_uint_gt(done, 500);
}
END_TEST

START_TEST(cut_and_changed_bytes_are_no_map_or_another_one) {
    maps_fill();
    struct buffer bytes = BUFFER_EMPTY;
    map_write(maps.map, &bytes);
    for (size_t length = 0; length < bytes.length; length++) {
        ck_assert_ptr_null(map_read(span_of(bytes.bytes, length)));
    }
    for (size_t i = 0; i < bytes.length; i++) {
        bytes.bytes[i] = (char)(bytes.bytes[i] ^ 0x41);
        map_return(map_read(buffer_span(&bytes)));
        bytes.bytes[i] = (char)(bytes.bytes[i] ^ 0x41);
    }
    buffer_free(&bytes);
}
END_TEST

START_TEST(what_is_no_change_is_refused) {
    struct map_change change = maps_node_add('a');
    struct buffer entry = BUFFER_EMPTY;
    map_change_write(&change, &entry);
    for (size_t length = 1; length < entry.length; length++) {
        buffer_clear(&maps.report);
        ck_assert_ptr_null(
            map_change_apply(maps.map, 1, span_of(entry.bytes, length), &maps.report));
    }
    entry.bytes[0] = 99;
    struct span rest = buffer_span(&entry);
    ck_assert(!map_change_read(&rest, &change));
    buffer_free(&entry);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_node_that_joins_is_a_shard_of_its_own,
        a_node_that_joins_twice_tells_where_it_is_now,
        a_slot_is_given_once,
        of_an_entry_all_changes_take_place_or_none,
        a_classic_move_marks_both_ends_and_ends_with_the_owner,
        a_stable_slot_has_no_marks,
        a_primary_with_slots_replicates_nobody,
        slots_of_others_are_taken_from_them_only_when_they_have_failed,
        a_primary_that_replicates_takes_its_replicas_along,
        a_promotion_by_who_knew_an_older_epoch_changes_nothing,
        only_who_is_in_sync_is_promoted_unless_told_so,
        a_primary_of_others_is_not_forgotten_while_it_has_slots,
        of_a_forgotten_primary_without_slots_a_replica_in_sync_takes_the_place,
        shards_take_the_same_places_whether_the_map_was_read_or_changed,
        a_node_that_is_forgotten_twice_is_no_error,
        a_shard_lacks_who_is_taken_out_of_its_set_by_hand_until_its_quorum_is_set_anew,
        a_successor_is_in_sync_and_its_process_is_known,
        maps_merge_unless_both_own_a_slot,
        config_epochs_are_set_once_and_alone,
        any_changes_keep_the_invariants_and_survive_as_bytes,
        cut_and_changed_bytes_are_no_map_or_another_one,
        what_is_no_change_is_refused,
    };
    return unit_run(maps_suite("map_change", tests, UNIT_COUNT(tests)));
}
