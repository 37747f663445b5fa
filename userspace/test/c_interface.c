/* SPDX-License-Identifier: MIT */
/*
 * Every call of the C interface, from C99. What needs a NIC is done only if one is named:
 *
 *     c_interface [INTERFACE]
 */
#define _POSIX_C_SOURCE 200809L
#include <devmem/devmem.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

#define check(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            ++failures;                                                             \
        }                                                                           \
    } while (0)

/* Whether a call failed as it should, with an error that says so; frees it. */
static bool fails(int result, struct devmem_error** error, int code, const char* call) {
    const bool right = result == -code && *error && devmem_error_code(*error) == code &&
                       strstr(devmem_error_call(*error), call) &&
                       strstr(devmem_error_text(*error), strerror(code));
    if (!right) fprintf(stderr, "returned %d: %s\n", result, devmem_error_text(*error));
    devmem_error_free(*error);
    *error = NULL;
    return right;
}

/* Whether a call succeeded. */
static bool works(int result, struct devmem_error** error) {
    if (result != 0) fprintf(stderr, "returned %d: %s\n", result, devmem_error_text(*error));
    devmem_error_free(*error);
    *error = NULL;
    return result == 0;
}

static void errors(void) {
    struct devmem_error* error = NULL;
    uint32_t ifindex = 0;
    check(devmem_version() == DEVMEM_VERSION);
    check(devmem_interface_index("no such NIC", &ifindex, NULL) == -ENODEV);
    check(devmem_interface_index("no such NIC", &ifindex, &error) == -ENODEV);
    check(strcmp(devmem_error_call(error), "find interface no such NIC") == 0);
    check(strcmp(devmem_error_extack(error), "") == 0);
    check(fails(-ENODEV, &error, ENODEV, "find interface"));
    check(works(devmem_interface_index("lo", &ifindex, &error), &error) && ifindex > 0);
    check(devmem_error_code(NULL) == ENOMEM && devmem_error_text(NULL)[0] != '\0');
    check(devmem_error_call(NULL)[0] == '\0' && devmem_error_extack(NULL)[0] == '\0');
}

/* A device that is an array. */
static int to_device(void* context, uint64_t offset, const void* from, size_t size) {
    memcpy((char*)context + offset, from, size);
    return 0;
}

static int to_host(void* context, uint64_t offset, void* to, size_t size) {
    memcpy(to, (char*)context + offset, size);
    return 0;
}

static int broken(void* context, uint64_t offset, void* to, size_t size) {
    (void)context, (void)offset, (void)to, (void)size;
    return -ENXIO;
}

static struct devmem_dmabuf* over(void* memory, size_t size, bool readable) {
    struct devmem_copy_engine engine = {sizeof(engine), NULL, to_device, to_host};
    struct devmem_error* error = NULL;
    struct devmem_dmabuf* dmabuf = NULL;
    const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    engine.context = memory;
    if (!readable) engine.to_host = broken;
    check(works(devmem_dmabuf_import(fd, size, &engine, &dmabuf, &error), &error));
    close(fd);
    return dmabuf;
}

static void copies(void) {
    char a[100] = "abcdefghijklmnopqrstuvwxyz", b[100] = "", host[8] = "";
    const struct devmem_copy_range two[] = {{2, 3, 0}, {25, 1, 3}};
    const struct devmem_copy_range outside[] = {{0, 3, 10}, {99, 2, 0}};
    struct devmem_dmabuf* from = over(a, sizeof(a), true);
    struct devmem_dmabuf* to = over(b, sizeof(b), true);
    struct devmem_dmabuf* mute = over(a, sizeof(a), false);

    check(devmem_dmabuf_size(from) == sizeof(a));
    check(fcntl(devmem_dmabuf_fd(from), F_GETFD) == FD_CLOEXEC);
    check(devmem_dmabuf_to_host(from, 5, host, 3) == 0 && strcmp(host, "fgh") == 0);
    check(devmem_dmabuf_to_device(to, 99, "x", 1) == 0 && b[99] == 'x');
    check(devmem_dmabuf_to_device(to, 99, "xy", 2) == -EINVAL);
    check(devmem_dmabuf_to_host(from, UINT64_MAX, host, 1) == -EINVAL);
    check(devmem_dmabuf_gather(from, two, 2, to) == 0 && memcmp(b, "cdez", 5) == 0);
    check(devmem_dmabuf_gather(from, outside, 2, to) == -EINVAL && b[10] == '\0');
    check(devmem_dmabuf_to_host(mute, 0, host, 1) == -ENXIO);
    devmem_dmabuf_free(mute);
    devmem_dmabuf_free(to);
    devmem_dmabuf_free(from);
    devmem_dmabuf_free(NULL);
}

static void dmabufs_refused(void) {
    struct devmem_copy_engine half = {sizeof(half), NULL, to_device, NULL};
    struct devmem_error* error = NULL;
    struct devmem_dmabuf* dmabuf = NULL;
    const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    check(fails(devmem_dmabuf_import(-1, 1, NULL, &dmabuf, &error), &error, EBADF, "fcntl"));
    check(fails(devmem_dmabuf_import(fd, 4096, NULL, &dmabuf, &error), &error, ENODEV, "map"));
    check(fails(devmem_dmabuf_import(fd, 1, &half, &dmabuf, &error), &error, EINVAL, "engine"));
    half.size = 0;
    check(fails(devmem_dmabuf_import(fd, 1, &half, &dmabuf, &error), &error, EINVAL, "size"));
    check(devmem_dmabuf_udmabuf(0, &dmabuf, NULL) < 0);
    check(devmem_dmabuf_accelmem(0, &dmabuf, NULL) < 0);
    check(fails(devmem_dmabuf_of_kind("gpu", 4096, &dmabuf, &error), &error, EINVAL, "memory gpu"));
    check(fails(devmem_dmabuf_of_kind("heap:nonesuch", 4096, &dmabuf, &error), &error, ENOENT,
                "open /dev/dma_heap/nonesuch"));
    check(!dmabuf);
    close(fd);
}

/* A connection to itself: fds[0] is one end, fds[1] the other. */
static bool connect_pair(int fds[2]) {
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    fds[1] = -1;
    if (bind(listener, (struct sockaddr*)&address, sizeof(address)) == 0 &&
        listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr*)&address, &size) == 0 &&
        connect(fds[0], (struct sockaddr*)&address, size) == 0)
        fds[1] = accept(listener, NULL, NULL);
    close(listener);
    return fds[1] >= 0;
}

/* Whether the next bytes are those of text, which came by way of host memory. */
static bool receives(struct devmem_receiver* receiver, const char* text) {
    while (*text) {
        const struct devmem_received* got = devmem_receiver_receive(receiver, DEVMEM_WAIT);
        size_t i;
        if (got->state != DEVMEM_OK) return false;
        for (i = 0; i < got->count; ++i) {
            const struct devmem_piece* piece = &got->pieces[i];
            if (piece->dmabuf_id != 0 || devmem_receiver_take(receiver, piece)) return false;
            if (strncmp(piece->host, text, piece->size) != 0) return false;
            text += piece->size;
        }
    }
    return true;
}

/* What needs no device memory of a connection. */
static void streams(void) {
    struct devmem_extent extents[] = {{0, 10}, {100, 20}};
    struct devmem_error* error = NULL;
    struct devmem_sender* sender = NULL;
    struct devmem_receiver* receiver = NULL;
    const struct devmem_sent* sent;
    int fds[2];
    check(connect_pair(fds));
    check(works(devmem_sender_new(fds[0], NULL, &sender, &error), &error));
    check(works(devmem_receiver_new(fds[1], NULL, &receiver, &error), &error));
    if (!sender || !receiver) return;
    check(devmem_sender_fd(sender) != fds[0] && devmem_receiver_fd(receiver) != fds[1]);
    close(fds[0]);
    close(fds[1]);

    check(devmem_receiver_receive(receiver, 0)->state == DEVMEM_WOULD_BLOCK);
    sent = devmem_sender_send_bytes(sender, "hello, ", 7, DEVMEM_MORE);
    check(sent->state == DEVMEM_OK && sent->bytes == 7 && sent->ticket == 0);
    sent = devmem_sender_send_bytes(sender, "world", 5, DEVMEM_WAIT);
    check(sent->state == DEVMEM_OK && sent->bytes == 5 && sent->error == 0);
    check(receives(receiver, "hello, world"));
    check(devmem_receiver_outstanding(receiver) == 0);
    check(devmem_receiver_give_back(receiver) == 0 && devmem_receiver_flush(receiver) == 0);

    sent = devmem_sender_send(sender, UINT32_MAX, extents, 2, 0); /* no such binding */
    check(sent->state == DEVMEM_FAILED && sent->error == EINVAL && sent->bytes == 0);
    check(devmem_sender_done(sender, sent->ticket));
    check(devmem_sender_complete(sender, DEVMEM_WAIT) == 0);
    check(devmem_sender_pending(sender) == 0 && devmem_sender_unknown(sender) == 0);
    devmem_sender_free(sender);
    check(devmem_receiver_receive(receiver, DEVMEM_WAIT)->state == DEVMEM_END);
    devmem_receiver_free(receiver);
}

static void streams_refused(void) {
    struct later {
        struct devmem_receiver_options known;
        size_t unknown;
    } later = {{.size = sizeof(later), .pieces = 1}, 0};
    struct devmem_sender_options early = {sizeof(size_t), 0, 0};
    struct devmem_error* error = NULL;
    struct devmem_sender* sender = NULL;
    struct devmem_receiver* receiver = NULL;
    int fds[2];
    check(fails(devmem_receiver_new(-1, NULL, &receiver, &error), &error, EBADF, "fcntl"));
    check(fails(devmem_sender_new(-1, NULL, &sender, &error), &error, EBADF, "fcntl"));
    check(pipe(fds) == 0);
    check(fails(devmem_sender_new(fds[0], NULL, &sender, &error), &error, ENOTSOCK, "SO_ZEROCOPY"));
    check(!sender && !receiver);
    close(fds[0]);
    close(fds[1]);

    check(connect_pair(fds));
    check(works(devmem_receiver_new(fds[1], &later.known, &receiver, &error), &error));
    devmem_receiver_free(receiver);
    later.unknown = 1;
    check(fails(devmem_receiver_new(fds[1], &later.known, &receiver, &error), &error, E2BIG, ""));
    early.in_flight = 0; /* of no concern to one that is so short */
    check(works(devmem_sender_new(fds[0], &early, &sender, &error), &error));
    devmem_sender_free(sender);
    close(fds[0]);
    close(fds[1]);
}

/* What needs no device memory of a budget. */
static void budgets(void) {
    struct devmem_receiver_options options = {.size = sizeof(options), .budget_count = 2};
    struct devmem_budget* both[2] = {NULL, NULL};
    struct devmem_error* error = NULL;
    struct devmem_receiver* receiver = NULL;
    struct pollfd room = {.events = POLLIN};
    int fds[2];
    check(works(devmem_budget_new(1, 16 << 20, &both[0], &error), &error));
    check(works(devmem_budget_new(2, UINT64_MAX, &both[1], &error), &error));
    check(connect_pair(fds));
    options.budgets = both;
    check(works(devmem_receiver_new(fds[1], &options, &receiver, &error), &error));
    if (!both[0] || !both[1] || !receiver) return;
    room.fd = devmem_budget_fd(both[0]);
    check(poll(&room, 1, 0) == 1);
    check(send(fds[0], "hello", 5, 0) == 5);
    check(receives(receiver, "hello"));
    check(devmem_receiver_receive(receiver, 0)->budget_fd == -1);
    check(devmem_receiver_held(receiver, 1) == 0);
    check(devmem_budget_held(both[0]) == 0 && devmem_budget_refusals(both[0]) == 0);
    devmem_budget_free(both[0]); /* the receiver has it still */
    check(devmem_receiver_receive(receiver, 0)->state == DEVMEM_WOULD_BLOCK);
    devmem_receiver_free(receiver);
    devmem_budget_free(both[1]);
    devmem_budget_free(NULL);
    close(fds[0]);
    close(fds[1]);
}

/* Pieces in host memory become contiguous in a dmabuf. */
static void gathers(void) {
    char memory[100] = "";
    struct devmem_dmabuf* to = over(memory, sizeof(memory), true);
    const struct devmem_gather_source source = {7, to}; /* nothing comes from there */
    struct devmem_error* error = NULL;
    struct devmem_gather* gather = NULL;
    struct devmem_receiver* receiver = NULL;
    const struct devmem_received* got;
    int fds[2];
    check(works(devmem_gather_new(&source, 1, to, &gather, &error), &error));
    devmem_dmabuf_free(to); /* the gather has it still */
    check(connect_pair(fds));
    check(devmem_receiver_new(fds[1], NULL, &receiver, NULL) == 0);
    if (!gather || !receiver) return;
    check(send(fds[0], "hello", 5, 0) == 5);
    got = devmem_receiver_receive(receiver, DEVMEM_WAIT);
    check(got->state == DEVMEM_OK && got->bytes == 5);
    check(devmem_gather_pieces(gather, receiver, got->pieces, got->count, 96) == -EINVAL);
    check(devmem_gather_pieces(gather, receiver, got->pieces, got->count, 95) == 0);
    check(memcmp(memory + 95, "hello", 5) == 0);
    devmem_receiver_free(receiver);
    devmem_gather_free(gather);
    devmem_gather_free(NULL);
    close(fds[0]);
    close(fds[1]);
}

static void extents(void) {
    struct devmem_extent left[] = {{5, 10}, {100, 0}, {200, 20}};
    check(devmem_drop_front(left, 3, 4) == 0 && left[0].offset == 9 && left[0].length == 6);
    check(devmem_drop_front(left, 3, 7) == 2 && left[2].offset == 201 && left[2].length == 19);
    check(devmem_drop_front(left + 2, 1, 19) == 1);
}

static void findings(void) {
    struct devmem_error* error = NULL;
    struct devmem_findings* found = NULL;
    const struct devmem_finding* finding;
    bool missing = false, kernel = false;
    size_t i;
    check(devmem_probe("no such NIC", &found, &error) < 0 && error && !found);
    devmem_error_free(error);
    error = NULL;
    if (!works(devmem_probe(NULL, &found, &error), &error)) {
        check(!"probe");
        return;
    }
    for (i = 0; (finding = devmem_findings_get(found, i)); ++i) {
        check(finding->name[0] != '\0' && finding->seen[0] != '\0');
        check(finding->presence != DEVMEM_PRESENT || finding->remedy[0] == '\0');
        if (strcmp(finding->subject, "kernel") == 0) kernel = true;
        if (finding->presence == DEVMEM_MISSING && finding->use != DEVMEM_EXTRA) missing = true;
    }
    check(kernel && i == devmem_findings_count(found));
    check(devmem_findings_ready(found, DEVMEM_BOTH) == !missing);
    check(devmem_findings_ready(found, DEVMEM_BOTH) ==
          (devmem_findings_ready(found, DEVMEM_SEND) &&
           devmem_findings_ready(found, DEVMEM_RECEIVE)));
    devmem_findings_free(found);
}

/* One NIC was abandoned, as it seems: its journal makes no sense. */
static void journals(void) {
    char folder[] = "/tmp/devmem-journals.XXXXXX", file[64];
    struct devmem_error* error = NULL;
    struct devmem_restored* restored = NULL;
    const struct devmem_restored_nic* nic;
    FILE* journal;
    check(works(devmem_restore_abandoned("/nonexistent/folder", &restored, &error), &error));
    check(devmem_restored_count(restored) == 0 && !devmem_restored_get(restored, 0));
    devmem_restored_free(restored);

    check(mkdtemp(folder) != NULL);
    snprintf(file, sizeof(file), "%s/1.journal", folder);
    journal = fopen(file, "w");
    check(journal && fputs("nonsense\n", journal) >= 0 && fclose(journal) == 0);
    check(works(devmem_restore_abandoned(folder, &restored, &error), &error));
    nic = devmem_restored_get(restored, 0);
    check(devmem_restored_count(restored) == 1 && nic && !devmem_restored_get(restored, 1));
    check(strcmp(nic->journal, file) == 0 && strcmp(nic->interface, "") == 0);
    check(!nic->done[0] && nic->failed[0] && strstr(nic->failed[0], file) && !nic->failed[1]);
    devmem_restored_free(restored);
    devmem_restored_free(NULL);

    check(unlink(file) == 0);
    check(fails(devmem_restore_abandoned("/dev/null", &restored, &error), &error, ENOTDIR, ""));
    snprintf(file, sizeof(file), "%s/lock", folder);
    check(unlink(file) == 0 && rmdir(folder) == 0);
}

static void nic_refused(void) {
    static const uint32_t nowhere = INT32_MAX, queue = 1;
    struct devmem_nic_options options = {sizeof(options), 0, NULL, "/nonexistent/folder"};
    char memory[4096];
    struct devmem_dmabuf* dmabuf = over(memory, sizeof(memory), true);
    struct devmem_error* error = NULL;
    struct devmem_nic_session* session = NULL;
    struct devmem_rx_binding* rx = NULL;
    struct devmem_tx_binding* tx = NULL;
    check(devmem_nic_session_new(nowhere, &options, &session, NULL) < 0);
    check(fails(devmem_rx_binding_new(nowhere, &queue, 1, dmabuf, &rx, &error), &error, ENODEV,
                "find interface"));
    check(fails(devmem_tx_binding_new(nowhere, dmabuf, &tx, &error), &error, ENODEV,
                "find interface"));
    check(!session && !rx && !tx);
    devmem_nic_session_free(NULL);
    devmem_rx_binding_free(NULL);
    devmem_tx_binding_free(NULL);
    devmem_dmabuf_free(dmabuf);
}

/* Steers what it can, and takes what it cannot for what it is. */
static void steer(struct devmem_nic_session* session, uint32_t queue) {
    struct devmem_flow flow = {sizeof(flow), "192.0.2.1", NULL, 0, 80, false, false};
    struct devmem_error* error = NULL;
    int fds[2];
    check(works(devmem_nic_session_steer(session, &flow, &queue, &error), &error));
    flow.source = "nowhere";
    check(fails(devmem_nic_session_steer(session, &flow, NULL, &error), &error, EINVAL, "nowhere"));
    check(works(devmem_nic_session_steer_port(session, 5201, &error), &error));
    check(connect_pair(fds));
    check(works(devmem_nic_session_steer_socket(session, fds[0], NULL, &error), &error));
    close(fds[0]);
    check(fails(devmem_nic_session_steer_socket(session, fds[0], NULL, &error), &error, EBADF, ""));
    close(fds[1]);
}

/* Binds, and frees the dmabuf before its binding. */
static void bind_queues(uint32_t ifindex, const uint32_t* queues, size_t count) {
    struct devmem_error* error = NULL;
    struct devmem_dmabuf* dmabuf = NULL;
    struct devmem_rx_binding *rx = NULL, *second = NULL;
    struct devmem_tx_binding* tx = NULL;
    check(works(devmem_dmabuf_of_kind("accelmem", 1 << 20, &dmabuf, &error), &error));
    if (!dmabuf) return;
    check(works(devmem_rx_binding_new(ifindex, queues, count, dmabuf, &rx, &error), &error));
    check(devmem_rx_binding_new(ifindex, queues, count, dmabuf, &second, &error) == -EEXIST);
    check(error && devmem_error_extack(error)[0] != '\0');
    devmem_error_free(error);
    if (devmem_tx_binding_new(ifindex, dmabuf, &tx, NULL) == 0) /* not every kernel can */
        check(devmem_tx_binding_id(tx) > 0);
    devmem_dmabuf_free(dmabuf);
    check(rx && devmem_rx_binding_id(rx) > 0 && !second);
    devmem_tx_binding_free(tx);
    devmem_rx_binding_free(rx);
}

/* A program has ended without putting the NIC back. */
static void abandon(uint32_t ifindex) {
    struct devmem_nic_session* session = NULL;
    struct devmem_restored* restored = NULL;
    struct devmem_error* error = NULL;
    const struct devmem_restored_nic* nic;
    int status = -1;
    const pid_t child = fork();
    if (child == 0) _exit(devmem_nic_session_new(ifindex, NULL, &session, NULL) < 0);
    check(waitpid(child, &status, 0) == child && status == 0);
    check(works(devmem_restore_abandoned(NULL, &restored, &error), &error));
    nic = devmem_restored_get(restored, 0);
    check(nic && nic->interface[0] != '\0' && nic->done[0] && !nic->failed[0]);
    devmem_restored_free(restored);
}

static void nic(const char* name) {
    const struct devmem_nic_options two = {sizeof(two), 2, NULL, NULL};
    struct devmem_error* error = NULL;
    struct devmem_nic_session* session = NULL;
    const uint32_t* queues;
    uint32_t ifindex = 0;
    check(works(devmem_interface_index(name, &ifindex, &error), &error));
    if (!works(devmem_nic_session_new(ifindex, &two, &session, &error), &error)) {
        check(!"session");
        return;
    }
    check(devmem_nic_session_queues(session, &queues) == 2 && queues[0] + 1 == queues[1]);
    steer(session, queues[1]);
    bind_queues(ifindex, queues, 2);
    check(works(devmem_nic_session_restore(session, &error), &error));
    devmem_nic_session_free(session);
    abandon(ifindex);
}

/* What only a kernel with device memory can give; c_receiver_test.cc has one. */
static void frags(void) {
    const struct devmem_piece none = {NULL, 0, 0, 0, 0, 0};
    struct devmem_receiver* receiver = NULL;
    struct devmem_frag* frag;
    int fds[2];
    check(connect_pair(fds));
    check(devmem_receiver_new(fds[0], NULL, &receiver, NULL) == 0);
    if (!receiver) return;
    frag = devmem_receiver_take(receiver, &none);
    check(!frag || !devmem_frag_piece(frag));
    devmem_receiver_free(receiver);
    devmem_frag_free(frag);
    close(fds[0]);
    close(fds[1]);
}

int main(int argc, char** argv) {
    errors();
    copies();
    dmabufs_refused();
    extents();
    streams();
    streams_refused();
    frags();
    budgets();
    gathers();
    findings();
    journals();
    nic_refused();
    if (argc > 1) nic(argv[1]);
    return failures > 0;
}
