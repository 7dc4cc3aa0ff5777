#include "server/cluster_links.h"

#include "base/list.h"
#include "base/logger.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/clock.h"
#include "io/stream.h"
#include "server/cluster_dials.h"
#include "server/cluster_link_rows.h"
#include "server/cluster_listeners.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define READ_BYTES ((size_t)64 * 1024)
#define READ_BYTES_MAX ((size_t)1024 * 1024) /* of a link in one step */
#define ACCEPTS_MAX 64                       /* in one step */
#define CHECK_MS 100
#define SHOW_MS 500
#define KEEPALIVE_SECONDS 10
/* A link that lives for a shorter time is not tried again at once. */
#define SERVED_MS 1000

#define NO_SECRET                                                                                  \
    "no cluster-secret is set, and it is not on this machine "                                     \
    "(cluster-allow-unauthenticated-nodes)"

struct link {
    struct list list;   /* in cluster_links.all */
    struct list active; /* in cluster_links.active, while there is something to do */
    struct cluster_links *links;
    uint64_t number;
    struct stream stream;
    struct bus_link *bus;
    bool is_connector;
    bool is_connecting;
    bool is_up;            /* it is the one link to its peer */
    struct raft_id wanted; /* of a connector */
    struct raft_id peer;
    char ip[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    uint64_t began_ms;
    int64_t began_wall_ms;
    uint64_t up_ms;
    uint64_t heard_ms;
    uint64_t sent_ms;
    bool is_ending;
    bool is_told; /* why is for the log */
    const char *why;
};

struct cluster_links {
    struct loop *loop;
    struct cluster_traffic *traffic;
    struct raft_id self;
    struct cluster_links_outlet outlet;
    struct cluster_links_settings settings;
    uint64_t now_ms;
    struct cluster_listeners listeners;
    struct list all; /* oldest first */
    struct list active;
    uint64_t numbers;
    size_t accepted_proving;
    bool has_ended;                    /* a link has */
    struct link *up[LINKS_PROVED_MAX]; /* by the peer's id */
    size_t up_count;
    struct cluster_dials dials;
    uint64_t check_ms;
    uint64_t told_ms; /* of the log */
    unsigned untold;
    uint64_t shown_ms;
    char *input;
    struct link_rows rows;
};

/* ---- words ---- */

static const char *name_of(const struct link *link, char text[NETWORK_ADDRESS_BYTES]) {
    bool is_six = strchr(link->ip, ':') != NULL;
    snprintf(text, NETWORK_ADDRESS_BYTES, is_six ? "[%.60s]:%u" : "%.60s:%u", link->ip, link->port);
    return text;
}

/* Who knocks again and again fills no log. */
static bool may_tell(struct cluster_links *links) {
    if (links->told_ms != 0 && links->now_ms - links->told_ms < LINKS_TELL_MS) {
        links->untold++;
        return false;
    }
    links->told_ms = links->now_ms;
    return true;
}

static void tell_refusal(struct cluster_links *links, bool is_connector, const char *name,
                         const char *why) {
    if (may_tell(links)) {
        log_warning("Cluster bus: refused the node %s %s: %s%s", is_connector ? "at" : "from", name,
                    why, links->untold == 0 ? "" : " (and more, not told)");
        links->untold = 0;
    }
}

/* ---- the links that are up ---- */

/* Where the peer's link is, or would be. */
static size_t place_of(const struct cluster_links *links, const struct raft_id *peer) {
    size_t low = 0;
    size_t high = links->up_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (raft_id_compare(&links->up[middle]->peer, peer) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct link *find(const struct cluster_links *links, const struct raft_id *peer) {
    size_t place = place_of(links, peer);
    return place < links->up_count && raft_id_equal(&links->up[place]->peer, peer)
               ? links->up[place]
               : NULL;
}

static void up_add(struct cluster_links *links, struct link *link) {
    size_t place = place_of(links, &link->peer);
    memmove(&links->up[place + 1], &links->up[place],
            (links->up_count - place) * sizeof(links->up[0]));
    links->up[place] = link;
    links->up_count++;
    link->is_up = true;
    link->up_ms = links->now_ms;
}

static void up_remove(struct cluster_links *links, struct link *link) {
    size_t place = place_of(links, &link->peer);
    ASSERT(links->up[place] == link);
    links->up_count--;
    memmove(&links->up[place], &links->up[place + 1],
            (links->up_count - place) * sizeof(links->up[0]));
    link->is_up = false;
}

/* ---- begin and end ---- */

static void activate(struct link *link) {
    if (!list_is_linked(&link->active)) {
        list_push_back(&link->links->active, &link->active);
    }
}

static void link_is_ready(void *context) {
    activate(context);
}

/* It is closed at the end of the step. */
static void link_end(struct link *link, const char *why, bool is_told) {
    if (!link->is_ending) {
        link->is_ending = true;
        link->is_told = is_told;
        link->why = why;
        link->links->has_ended = true;
    }
}

static struct link *link_new(struct cluster_links *links, int fd, bool is_connector) {
    struct link *link = memory_alloc_zeroed(sizeof(*link));
    link->links = links;
    link->number = ++links->numbers;
    link->is_connector = is_connector;
    link->is_connecting = is_connector;
    link->began_ms = links->now_ms;
    link->began_wall_ms = clock_wall_ms();
    link->heard_ms = links->now_ms;
    link->sent_ms = links->now_ms;
    list_init(&link->active);
    list_push_back(&links->all, &link->list);
    stream_begin(&link->stream, links->loop, fd, link_is_ready, link);
    return link;
}

static void bus_begin(struct link *link) {
    struct cluster_links *links = link->links;
    struct bus_link_plan plan = {
        .is_connector = link->is_connector,
        .self = links->self,
        .wanted = link->wanted,
        .secret = span_of_string(links->settings.secret),
    };
    random_seed_bytes(plan.nonce, sizeof(plan.nonce));
    network_set_no_delay(link->stream.fd);
    network_set_keepalive(link->stream.fd, KEEPALIVE_SECONDS);
    link->bus = bus_link_new(&plan, &link->stream.out);
}

static bool is_proving(const struct link *link) {
    return link->bus == NULL || !bus_link_is_proved(link->bus);
}

static void link_free(struct link *link) {
    list_remove(&link->list);
    list_remove(&link->active);
    stream_end(&link->stream);
    bus_link_free(link->bus);
    memory_free(link);
}

static void link_close(struct link *link) {
    struct cluster_links *links = link->links;
    char name[NETWORK_ADDRESS_BYTES];
    bool was_up = link->is_up;
    struct raft_id peer = link->peer;
    bool had_served = link->up_ms != 0 && links->now_ms - link->up_ms >= SERVED_MS;
    struct dial *dial = dials_find(&links->dials, link->number);
    if (dial != NULL) {
        dial_link_ended(dial, had_served, links->now_ms);
    }
    if (link->is_told && is_proving(link)) {
        tell_refusal(links, link->is_connector, name_of(link, name), link->why);
    } else if (link->is_told) {
        log_notice("Cluster bus: the link to the node at %s has ended: %s", name_of(link, name),
                   link->why);
    }
    if (was_up) {
        up_remove(links, link);
    }
    links->accepted_proving -= !link->is_connector && is_proving(link) ? 1 : 0;
    link_free(link);
    if (was_up) {
        links->outlet.down(links->outlet.context, &peer, false);
    }
}

static void close_ended(struct cluster_links *links) {
    while (links->has_ended) {
        links->has_ended = false;
        for (struct list *at = links->all.next; at != &links->all;) {
            struct link *link = LIST_ENTRY(at, struct link, list);
            at = at->next;
            if (link->is_ending) {
                link_close(link); /* what it calls ends others, perhaps, and frees none */
            }
        }
    }
}

/* ---- accepting ---- */

bool cluster_links_listen(struct cluster_links *links, const char *bind, uint16_t port) {
    return cluster_listeners_open(&links->listeners, links->loop, bind, port);
}

/* The oldest of those that prove makes way for a younger one: who is honest is quick. */
static void make_room(struct cluster_links *links) {
    size_t over = links->accepted_proving >= LINKS_PROVING_MAX
                      ? links->accepted_proving - LINKS_PROVING_MAX + 1
                      : 0;
    LIST_FOR_EACH(at, &links->all) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        if (over > 0 && !link->is_connector && !link->is_ending && is_proving(link)) {
            link_end(link, "too many others want to be heard", true);
            over--;
        }
    }
}

static void link_accept(struct cluster_links *links, int fd) {
    if (links->settings.secret[0] == '\0' && !links->settings.allows_anybody &&
        !network_peer_is_local(fd)) {
        char name[NETWORK_ADDRESS_BYTES];
        network_peer_address(fd, name);
        tell_refusal(links, false, name, NO_SECRET);
        network_close(fd);
        return;
    }
    make_room(links);
    close_ended(links);
    struct link *link = link_new(links, fd, false);
    network_peer_host(fd, link->ip, &link->port);
    links->accepted_proving++;
    bus_begin(link);
}

static void accept_all(struct cluster_links *links) {
    for (int count = 0; count < ACCEPTS_MAX; count++) {
        int fd = cluster_listeners_accept(&links->listeners);
        if (fd == -1) {
            return;
        }
        link_accept(links, fd);
    }
}

/* ---- connecting ---- */

const char *cluster_links_refusal(const struct cluster_links *links, const char *ip) {
    bool may =
        links->settings.secret[0] != '\0' || links->settings.allows_anybody || dial_is_loopback(ip);
    return may ? NULL
               : "ERR Without a cluster-secret the nodes of a cluster speak on one machine only: "
                 "set the same on each, or say cluster-allow-unauthenticated-nodes yes";
}

static void connect_to(struct cluster_links *links, struct dial *dial) {
    const struct member_target *target = &dial->target;
    if (cluster_links_refusal(links, target->ip) != NULL) {
        tell_refusal(links, true, target->ip, NO_SECRET);
        dial_link_ended(dial, false, links->now_ms);
        return;
    }
    int fd = network_connect_start(&(struct network_connect_options){
        .host = target->ip, .port = target->bus_port, .source_host = links->settings.source_ip});
    if (fd < 0) {
        dial_link_ended(dial, false, links->now_ms);
        return;
    }
    struct link *link = link_new(links, fd, true);
    dial->link = link->number;
    link->wanted = target->id;
    link->port = target->bus_port;
    snprintf(link->ip, sizeof(link->ip), "%s", target->ip);
}

static bool is_due(const struct cluster_links *links, const struct dial *dial) {
    const struct member_target *target = &dial->target;
    return dial->link == 0 && target->bus_port != 0 && dial->is_address &&
           !raft_id_equal(&target->id, &links->self) &&
           (raft_id_is_none(&target->id) || find(links, &target->id) == NULL);
}

static void dial_all(struct cluster_links *links) {
    for (size_t i = 0; i < links->dials.count; i++) {
        struct dial *dial = &links->dials.dials[i];
        if (links->now_ms >= dial->next_ms && is_due(links, dial)) {
            connect_to(links, dial);
        }
    }
}

static void connected(struct link *link) {
    struct cluster_links *links = link->links;
    int error = network_connect_result(link->stream.fd);
    if (error == EINPROGRESS) {
        return;
    }
    if (error == 0) {
        link->is_connecting = false;
        bus_begin(link);
        return;
    }
    link_end(link, strerror(error), false);
    if (error == ECONNREFUSED && !raft_id_is_none(&link->wanted) &&
        find(links, &link->wanted) == NULL) {
        links->outlet.down(links->outlet.context, &link->wanted, true);
    }
}

/* ---- a link is proved ---- */

static const struct raft_id *connector_of(const struct link *link) {
    return link->is_connector ? &link->links->self : &link->peer;
}

static bool stays(const struct link *old, const struct link *young) {
    return raft_id_compare(connector_of(old), connector_of(young)) < 0;
}

static void link_proved(struct link *link) {
    struct cluster_links *links = link->links;
    link->peer = *bus_link_peer(link->bus);
    links->accepted_proving -= link->is_connector ? 0 : 1;
    struct link *old = find(links, &link->peer);
    bool is_self = raft_id_equal(&link->peer, &links->self);
    if (is_self || (old != NULL && stays(old, link))) {
        link_end(link, "", false);
        if (!link->is_connector) {
            return;
        }
    } else if (old == NULL && links->up_count == LINKS_PROVED_MAX) {
        link_end(link, "there are too many links", true);
        return;
    } else {
        if (old != NULL) {
            up_remove(links, old);
            link_end(old, "", false);
            links->outlet.down(links->outlet.context, &link->peer, false);
        }
        up_add(links, link);
        links->shown_ms = 0;
    }
    /* A node that was dialed by its address is known by its name now. */
    links->outlet.up(links->outlet.context, &link->peer, link->ip,
                     link->is_connector ? link->port : 0);
}

/* ---- bytes ---- */

static void link_frame(struct link *link, const struct bus_frame *frame) {
    struct cluster_links *links = link->links;
    if (frame->kind == BUS_PING) {
        return;
    }
    atomic_fetch_add(&links->traffic->received, 1);
    if (link->is_up &&
        !links->outlet.receive(links->outlet.context, &link->peer, frame->kind, frame->body)) {
        link_end(link, "it says what this version does not know", true);
    }
}

static void link_drain(struct link *link) {
    struct bus_frame frame;
    while (!link->is_ending) {
        switch (bus_link_next(link->bus, &frame, &link->stream.out)) {
        case BUS_NOTHING:
            return;
        case BUS_PROVED:
            link_proved(link);
            stream_flush(
                &link->stream); /* before it is closed, perhaps: the other end decides too */
            break;
        case BUS_FRAME:
            link_frame(link, &frame);
            break;
        case BUS_REFUSED:
            link_end(link, bus_link_refusal(link->bus), true);
            return;
        }
    }
}

static void link_left(struct link *link) {
    bool is_greeted = link->bus != NULL && !raft_id_is_none(bus_link_peer(link->bus));
    if (!is_proving(link)) {
        link_end(link, "the node has closed it", true);
    } else if (is_greeted && link->is_connector) {
        link_end(link, "it has closed the link: perhaps it has another cluster-secret", true);
    } else {
        link_end(link, "", false); /* it has looked whether somebody listens */
    }
}

static void link_read(struct link *link) {
    struct cluster_links *links = link->links;
    size_t budget = READ_BYTES_MAX;
    if (link->stream.has_failed) {
        link_end(link, "the system cannot watch its socket", true);
    } else if (link->is_connecting) {
        connected(link);
    }
    while (link->stream.is_readable && !link->is_ending && link->bus != NULL && budget > 0) {
        struct network_result result = stream_read(&link->stream, links->input, READ_BYTES);
        if (result.status == NETWORK_WOULD_BLOCK) {
            return;
        }
        if (result.status != NETWORK_MOVED) {
            link_left(link);
            return;
        }
        link->heard_ms = links->now_ms;
        budget -= result.bytes < budget ? result.bytes : budget;
        bus_link_receive(link->bus, span_of(links->input, result.bytes));
        link_drain(link);
    }
}

static void frame_send(struct link *link, enum bus_kind kind, struct span body) {
    struct cluster_links *links = link->links;
    bus_link_send(link->bus, kind, body, &link->stream.out);
    link->sent_ms = links->now_ms;
    activate(link);
    if (stream_waiting_bytes(&link->stream) > links->settings.waiting_bytes_max) {
        atomic_fetch_add(&links->traffic->links_over_limit, 1);
        link_end(link, "too much waits to be sent", true);
    }
}

void cluster_links_send(struct cluster_links *links, const struct raft_id *id, enum bus_kind kind,
                        struct span body) {
    struct link *link = find(links, id);
    if (link != NULL && !link->is_ending) {
        atomic_fetch_add(&links->traffic->sent, 1);
        frame_send(link, kind, body);
    }
}

/* ---- time ---- */

static void link_check(struct link *link) {
    struct cluster_links *links = link->links;
    uint64_t now_ms = links->now_ms;
    if (is_proving(link)) {
        if (now_ms - link->began_ms >= LINKS_PROOF_MS) {
            link_end(link, "it does not say in time who it is", !link->is_connecting);
        }
    } else if (now_ms - link->heard_ms >= links->settings.silence_ms) {
        link_end(link, "nothing is heard of the node", true);
    } else if (now_ms - link->sent_ms >= links->settings.silence_ms / 4) {
        frame_send(link, BUS_PING, span_of(NULL, 0));
    }
}

static void show(struct cluster_links *links) {
    struct link_row *rows = memory_alloc((links->up_count + 1) * sizeof(*rows));
    for (size_t i = 0; i < links->up_count; i++) {
        const struct link *link = links->up[i];
        rows[i] = (struct link_row){
            .is_connector = link->is_connector,
            .is_full = link->stream.is_full,
            .peer = link->peer,
            .began_wall_ms = link->began_wall_ms,
            .allocated_bytes = link->stream.out.capacity,
            .used_bytes = stream_waiting_bytes(&link->stream),
        };
    }
    links->shown_ms = links->now_ms;
    link_rows_set(&links->rows, rows, links->up_count);
}

void cluster_links_step(struct cluster_links *links, uint64_t now_ms) {
    links->now_ms = now_ms;
    accept_all(links);
    struct list ready;
    list_init(&ready);
    for (struct list *at; (at = list_pop_front(&links->active)) != NULL;) {
        list_push_back(&ready, at);
    }
    for (struct list *at; (at = list_pop_front(&ready)) != NULL;) {
        struct link *link = LIST_ENTRY(at, struct link, active);
        activate(link); /* to be flushed */
        link_read(link);
    }
    if (now_ms >= links->check_ms) {
        links->check_ms = now_ms + CHECK_MS;
        cluster_listeners_resume(&links->listeners);
        LIST_FOR_EACH(at, &links->all) {
            link_check(LIST_ENTRY(at, struct link, list));
        }
    }
    close_ended(links);
    dial_all(links);
}

void cluster_links_flush(struct cluster_links *links, uint64_t now_ms) {
    links->now_ms = now_ms;
    struct list written;
    list_init(&written);
    for (struct list *at; (at = list_pop_front(&links->active)) != NULL;) {
        struct link *link = LIST_ENTRY(at, struct link, active);
        if (!link->is_ending && !link->is_connecting && !stream_flush(&link->stream)) {
            link_left(link);
        }
        if (link->stream.is_readable) {
            list_push_back(&written, &link->active);
        }
    }
    for (struct list *at; (at = list_pop_front(&written)) != NULL;) {
        list_push_back(&links->active, at);
    }
    close_ended(links);
    if (now_ms - links->shown_ms >= SHOW_MS || links->shown_ms == 0) {
        show(links);
    }
}

uint64_t cluster_links_due_ms(const struct cluster_links *links) {
    uint64_t due_ms = list_is_empty(&links->active) ? links->check_ms : links->now_ms;
    for (size_t i = 0; i < links->dials.count; i++) {
        const struct dial *dial = &links->dials.dials[i];
        if (dial->next_ms < due_ms && is_due(links, dial)) {
            due_ms = dial->next_ms;
        }
    }
    return due_ms;
}

/* ---- whom, and how ---- */

void cluster_links_set_targets(struct cluster_links *links, const struct member_target *targets,
                               size_t count) {
    dials_set(&links->dials, targets, count);
}

void cluster_links_configure(struct cluster_links *links,
                             const struct cluster_links_settings *settings) {
    links->settings = *settings;
}

static void end_all(struct cluster_links *links) {
    LIST_FOR_EACH(at, &links->all) {
        link_end(LIST_ENTRY(at, struct link, list), "", false);
    }
}

void cluster_links_rename(struct cluster_links *links, const struct raft_id *self) {
    links->self = *self;
    end_all(links);
}

/* ---- CLUSTER LINKS ---- */

size_t cluster_links_count(const struct cluster_links *links) {
    return links->up_count;
}

size_t cluster_links_bytes(const struct cluster_links *links) {
    size_t bytes = 0;
    LIST_FOR_EACH(at, &links->all) {
        const struct link *link = LIST_ENTRY(at, struct link, list);
        bytes += sizeof(*link) + link->stream.out.capacity;
        bytes += link->bus == NULL ? 0 : bus_link_bytes(link->bus);
    }
    return bytes;
}

size_t cluster_links_reply(struct cluster_links *links, struct reply *reply) {
    return link_rows_reply(&links->rows, reply);
}

/* ---- lifecycle ---- */

struct cluster_links *cluster_links_new(const struct cluster_links_plan *plan) {
    struct cluster_links *links = memory_alloc_zeroed(sizeof(*links));
    links->loop = plan->loop;
    links->traffic = plan->traffic;
    links->self = plan->self;
    links->outlet = plan->outlet;
    links->settings = *plan->settings;
    list_init(&links->all);
    list_init(&links->active);
    link_rows_init(&links->rows);
    links->input = memory_alloc(READ_BYTES);
    return links;
}

void cluster_links_end(struct cluster_links *links) {
    cluster_listeners_close(&links->listeners);
    dials_free(&links->dials);
    end_all(links);
    close_ended(links);
}

void cluster_links_free(struct cluster_links *links) {
    cluster_links_end(links);
    link_rows_free(&links->rows);
    memory_free(links->input);
    memory_free(links);
}
