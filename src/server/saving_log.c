#include "server/saving_parts.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/files.h"
#include "worker/gate.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

void saving_log_attach(struct saving *saving, struct oplog *log, bool gates) {
    struct node *node = &saving->server->node;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        if (node->log != NULL) {
            gate_append(node->workers[i]);
        }
    }
    node->log = log;
    node->log_gates = gates;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        node->workers[i]->appended = 0;
        gate_configure(node->workers[i]);
        loop_wake(node->workers[i]->loop);
    }
}

struct removal {
    const struct disk *folder;
};

static void remove_found(void *context, const char *name) {
    const struct removal *removal = context;
    removal->folder->remove(removal->folder->context, name);
}

/* Removes a folder of log files, if it is there. */
static void folder_remove(const char *path) {
    if (access(path, F_OK) != 0) {
        return;
    }
    struct disk folder;
    if (disk_open(&folder, path) == 0) {
        struct removal removal = {.folder = &folder};
        folder.list(folder.context, remove_found, &removal);
        disk_close(&folder);
    }
    rmdir(path);
}

static void folder_close(struct saving *saving) {
    disk_close(saving->log_folder);
    memory_free(saving->log_folder);
    saving->log_folder = NULL;
}

bool saving_log_open_temporary(struct saving *saving, struct buffer *report) {
    folder_remove(SAVING_LOG_TEMPORARY);
    saving->log_folder = memory_alloc_zeroed(sizeof(struct disk));
    int error = disk_open(saving->log_folder, SAVING_LOG_TEMPORARY);
    if (error != 0) {
        memory_free(saving->log_folder);
        buffer_format(report, "cannot make the folder " SAVING_LOG_TEMPORARY ": %s",
                      strerror(-error));
        return false;
    }
    struct oplog_plan plan = {
        .disk = saving->log_folder,
        .history = history_fork(&saving->history),
        .parent = saving->history,
        .begin = saving->end,
        .sync = OPLOG_SYNC_NO,
        .segment_bytes = (uint64_t)saving_options(saving)->log_segment_size,
        .progress = gate_progress,
        .context = &saving->server->node,
    };
    memcpy(plan.node_id, saving->node_id, sizeof(plan.node_id));
    saving->log = oplog_open(&plan, &error);
    if (saving->log == NULL) {
        buffer_format(report, "cannot open a log in " SAVING_LOG_TEMPORARY ": %s",
                      strerror(-error));
        folder_close(saving);
        folder_remove(SAVING_LOG_TEMPORARY);
        return false;
    }
    saving->is_log_temporary = true;
    saving->history = plan.history;
    return true;
}

void saving_log_detach(void *context) {
    saving_log_attach(context, NULL, false);
}

int saving_log_close(struct saving *saving) {
    saving->end = oplog_end_position(saving->log);
    int error = oplog_close(saving->log);
    saving->log = NULL;
    folder_close(saving);
    return error;
}

void saving_log_remove_temporary(struct saving *saving) {
    stop_visit(&saving->server->node, saving_log_detach, saving);
    saving_log_close(saving);
    folder_remove(SAVING_LOG_TEMPORARY);
    saving->is_log_temporary = false;
}

/* CONFIG SET appendfsync changes a log that gates. */
static void let_log_gate(void *context) {
    struct saving *saving = context;
    oplog_set_sync(saving->log, saving_sync(saving_options(saving)));
    saving->server->node.log_gates = true;
    for (uint32_t i = 0; i < saving->server->node.worker_count; i++) {
        gate_follow(saving->server->node.workers[i]);
    }
}

static bool names_sync(struct buffer *report) {
    int error = file_sync_directory(".");
    if (error != 0) {
        buffer_format(report, "cannot sync the folder: %s", strerror(error));
    }
    return error == 0;
}

/* Since CONFIG SET dir, it may be that of another server. */
static bool claim_log(struct buffer *report) {
    struct disk folder;
    int error = disk_open(&folder, SAVING_LOG);
    if (error == 0) {
        error = folder.lock(folder.context);
        disk_close(&folder);
    }
    if (error != 0) {
        buffer_format(report, "cannot put the folder " SAVING_LOG " away: %s",
                      error == -EBUSY ? "another server has it" : strerror(-error));
    }
    return error == 0;
}

bool saving_log_put_away(struct buffer *report) {
    if (access(SAVING_LOG, F_OK) != 0) {
        return true;
    }
    if (!claim_log(report)) {
        return false;
    }
    folder_remove(SAVING_LOG_OLD);
    if (rename(SAVING_LOG, SAVING_LOG_OLD) != 0) {
        buffer_format(report, "cannot rename " SAVING_LOG ": %s", strerror(errno));
        return false;
    }
    return names_sync(report);
}

bool saving_log_keep(struct saving *saving, struct buffer *report) {
    if (!saving_log_put_away(report)) {
        return false;
    }
    if (rename(SAVING_LOG_TEMPORARY, SAVING_LOG) != 0) {
        buffer_format(report, "cannot rename " SAVING_LOG_TEMPORARY ": %s", strerror(errno));
        return false;
    }
    saving->is_log_temporary = false;
    if (!names_sync(report)) {
        log_warning("Power loss may take the log that was just switched on with it.");
    }
    stop_visit(&saving->server->node, let_log_gate, saving);
    return true;
}
