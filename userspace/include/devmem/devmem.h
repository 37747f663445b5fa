/* SPDX-License-Identifier: MIT */
/*
 * libdevmem for C, and for all that calls C: the same objects as in the C++ headers, which say more
 * about each.
 *
 *     struct devmem_error *error = NULL;
 *     if (devmem_dmabuf_udmabuf(32 << 20, &memory, &error) < 0) {
 *         fprintf(stderr, "%s\n", devmem_error_text(error));
 *         devmem_error_free(error);
 *     }
 *
 * Errors. What makes or changes something returns 0, or a negative errno; then it has stored an
 * error to read at *error, which is the caller's to free, and nothing elsewhere. error may be NULL;
 * *error is NULL if there was no memory for one, and those who read it take that as ENOMEM. The
 * data path (copies, receive, send and what goes with them) never stores one and does not allocate,
 * but for the few calls that say so.
 *
 * Pointers. Those to objects must not be NULL; those that may be NULL say so. Every _free() does
 * nothing with NULL. Objects may be freed in any order: what one needs of another, it keeps.
 *
 * Descriptors that are passed in stay the caller's: the library has duplicates. So a connection is
 * closed when both the caller and the library have closed it.
 *
 * Threads. An object belongs to one thread at a time, and different objects are independent; what
 * may be called from any thread says so.
 *
 * Growth. Options begin with their size, `= {.size = sizeof(options)}`, and a field that is 0 or
 * NULL has its default. A library that does not know the end of them wants it to be zeros and else
 * says E2BIG. Structures that the library hands out grow at their end, so don't copy them by sizeof
 * into what another version of this header describes.
 */
#ifndef DEVMEM_DEVMEM_H
#define DEVMEM_DEVMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devmem/copy_range.h"
#include "devmem/export.h"
#include "devmem/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why a call failed. Any thread may read one. */
struct devmem_error;

/* The errno, positive. */
DEVMEM_API int devmem_error_code(const struct devmem_error* error);
/*
 * One message for a person: the call and what it was about, the errno's text, the kernel's own
 * explanation if it gave one, and what to do about it where that is known. As the two below, it
 * lasts as long as error does.
 */
DEVMEM_API const char* devmem_error_text(const struct devmem_error* error);
/* The call that failed, with its object: "bind-rx eth0". */
DEVMEM_API const char* devmem_error_call(const struct devmem_error* error);
/* The kernel's explanation, word for word; "" if it gave none. */
DEVMEM_API const char* devmem_error_extack(const struct devmem_error* error);
DEVMEM_API void devmem_error_free(struct devmem_error* error);

/*
 * The index of an interface in the calling thread's network namespace. Any thread. -ENODEV: there
 * is none of that name.
 */
DEVMEM_API int devmem_interface_index(const char* name, uint32_t* ifindex,
                                      struct devmem_error** error);

/*
 * Memory that a NIC can receive into and send from: a dmabuf, and the means to copy in and out.
 * Sizes, offsets and lengths are bytes. Copies of disjoint ranges may run in several threads.
 */
struct devmem_dmabuf;

/* How to copy where the CPU cannot: your accelerator's memcpy calls. */
struct devmem_copy_engine {
    size_t size;   /* sizeof(struct devmem_copy_engine) */
    void* context; /* passed to the functions; stays yours, and must outlive the dmabuf */
    /*
     * Both return 0 or a negative errno, have copied all by then, and get ranges that are inside
     * the dmabuf.
     */
    int (*to_device)(void* context, uint64_t offset, const void* from, size_t size);
    int (*to_host)(void* context, uint64_t offset, void* to, size_t size);
};

/* Host memory behind /dev/udmabuf, rounded up to whole pages. */
DEVMEM_API int devmem_dmabuf_udmabuf(uint64_t size, struct devmem_dmabuf** dmabuf,
                                     struct devmem_error** error);
/* Memory of /dev/accelmem, which the CPU cannot touch, rounded up to whole pages. */
DEVMEM_API int devmem_dmabuf_accelmem(uint64_t size, struct devmem_dmabuf** dmabuf,
                                      struct devmem_error** error);
/*
 * Memory of a kind by the name that a user gives it, rounded up as the kind wants it: "accelmem",
 * "udmabuf", "heap" or "heap:NAME", "cuda" or "cuda:GPU", "rocm" or "rocm:GPU", where GPU is an
 * ordinal or a PCI address. -EINVAL: there is no such kind, and the error's text names all.
 */
DEVMEM_API int devmem_dmabuf_of_kind(const char* kind, uint64_t size, struct devmem_dmabuf** dmabuf,
                                     struct devmem_error** error);
/*
 * A dmabuf that somebody else exported, size bytes of it. engine copies; it is read during the
 * call. NULL: the CPU does, and it fails if the exporter does not let it in.
 */
DEVMEM_API int devmem_dmabuf_import(int fd, uint64_t size, const struct devmem_copy_engine* engine,
                                    struct devmem_dmabuf** dmabuf, struct devmem_error** error);
DEVMEM_API uint64_t devmem_dmabuf_size(const struct devmem_dmabuf* dmabuf);
/* The dmabuf's descriptor; still owned by it. */
DEVMEM_API int devmem_dmabuf_fd(const struct devmem_dmabuf* dmabuf);

/*
 * Copies return 0 or a negative errno: -EINVAL if a range is not inside the dmabuf (nothing was
 * copied then), else what the device said.
 */
DEVMEM_API int devmem_dmabuf_to_device(const struct devmem_dmabuf* dmabuf, uint64_t offset,
                                       const void* from, size_t size);
DEVMEM_API int devmem_dmabuf_to_host(const struct devmem_dmabuf* dmabuf, uint64_t offset, void* to,
                                     size_t size);
/*
 * Copies ranges of one dmabuf to another, in order; all are checked before the first byte moves.
 * Stays on the device where both are on the same, else goes by way of the host. A range must not
 * overlap where it goes.
 */
DEVMEM_API int devmem_dmabuf_gather(const struct devmem_dmabuf* from,
                                    const struct devmem_copy_range* ranges, size_t count,
                                    const struct devmem_dmabuf* to);
/* The kernel keeps what is bound; the bytes are out of your reach then. */
DEVMEM_API void devmem_dmabuf_free(struct devmem_dmabuf* dmabuf);

/*
 * A NIC made ready to receive into device memory: header split on, queues that other traffic keeps
 * away from, and flows steered to them. It puts everything back when it is freed, and after a crash
 * the next session or `devmem restore` does. Make it before the rx binding and free it after: the
 * kernel refuses to turn header split off while a queue is bound.
 */
struct devmem_nic_session;

struct devmem_nic_options {
    size_t size;             /* sizeof(struct devmem_nic_options) */
    size_t queues;           /* how many; 0: 1 */
    const uint32_t* exactly; /* so many, these; NULL: the highest that nobody uses */
    const char* journals;    /* the folder that notes what to put back; NULL: /run/devmem */
};

/* Which packets are to be steered: those of TCP, unless udp, that agree in every field set. */
struct devmem_flow {
    size_t size;                            /* sizeof(struct devmem_flow) */
    const char *source, *destination;       /* "192.0.2.1" or "2001:db8::1"; NULL: any */
    uint16_t source_port, destination_port; /* 0: any */
    bool udp;
    bool ipv6; /* only asked where neither address is set */
};

/*
 * Needs CAP_NET_ADMIN. options may be NULL. If it fails, the NIC is as before. -EOPNOTSUPP (the
 * driver can't), -EBUSY (no queue is free, or one of exactly is not), -ERANGE (no such queue),
 * -EINVAL (no queue would be left for other traffic), -EBADMSG (there is a journal that makes no
 * sense), and what the kernel refuses a change with.
 */
DEVMEM_API int devmem_nic_session_new(uint32_t ifindex, const struct devmem_nic_options* options,
                                      struct devmem_nic_session** session,
                                      struct devmem_error** error);
/* Stores where the queues to bind are, in ascending order, and returns how many there are. */
DEVMEM_API size_t devmem_nic_session_queues(const struct devmem_nic_session* session,
                                            const uint32_t** queues);
/*
 * Steers flows to the queues, for as long as the session lives: to *queue, or with NULL spread over
 * all of them. -EOPNOTSUPP (the NIC can't steer such flows), -ENOSPC (its table is full).
 */
DEVMEM_API int devmem_nic_session_steer(struct devmem_nic_session* session,
                                        const struct devmem_flow* flow, const uint32_t* queue,
                                        struct devmem_error** error);
/*
 * The same with all that TCP sends to a port, over IPv4 and over IPv6. If it fails, the first may
 * be steered already.
 */
DEVMEM_API int devmem_nic_session_steer_port(struct devmem_nic_session* session, uint16_t port,
                                             struct devmem_error** error);
/* The same with what a connected TCP socket receives. */
DEVMEM_API int devmem_nic_session_steer_socket(struct devmem_nic_session* session, int socket,
                                               const uint32_t* queue, struct devmem_error** error);
/* Puts all back now. Returns the first error after it has tried everything; may be tried again. */
DEVMEM_API int devmem_nic_session_restore(struct devmem_nic_session* session,
                                          struct devmem_error** error);
/* Puts all back; of an error only the journal is left, for another try. */
DEVMEM_API void devmem_nic_session_free(struct devmem_nic_session* session);

/* What was done about one NIC that a session had left as it needed it. */
struct devmem_restored_nic {
    const char* journal;       /* the file */
    const char* interface;     /* its name then; "" if the journal makes no sense */
    const char* const* done;   /* what was put back: "header split"; NULL ends the list */
    const char* const* failed; /* what was not, and why, likewise; the journal stays */
};

/* What was done about all of them. Any thread may read it. */
struct devmem_restored;

/*
 * Puts back what sessions have left that ended without doing so, in all NICs of the calling
 * thread's network namespace. What live sessions use stays as it is. May be called at any time, in
 * any thread, and again. journals: the folder that they named; NULL: /run/devmem. Needs
 * CAP_NET_ADMIN. It fails if the folder can't be read; what was not put back is no failure of the
 * call, so look for it.
 */
DEVMEM_API int devmem_restore_abandoned(const char* journals, struct devmem_restored** restored,
                                        struct devmem_error** error);
/* 0 if no session was abandoned. */
DEVMEM_API size_t devmem_restored_count(const struct devmem_restored* restored);
/* Lasts as long as restored; NULL if there are not so many. */
DEVMEM_API const struct devmem_restored_nic* devmem_restored_get(
    const struct devmem_restored* restored, size_t index);
DEVMEM_API void devmem_restored_free(struct devmem_restored* restored);

/*
 * A dmabuf bound to RX queues: what these receive over TCP lands in it. Bind a dmabuf once at a
 * time: the kernel takes all of it for free memory, also what an earlier binding has handed out.
 */
struct devmem_rx_binding;

/*
 * Needs CAP_NET_ADMIN. -EOPNOTSUPP (driver or kernel can't), -EEXIST (bound already), -EINVAL (no
 * queues, or header split is off), -ERANGE or -EINVAL (no such queue), -EBUSY (AF_XDP).
 */
DEVMEM_API int devmem_rx_binding_new(uint32_t ifindex, const uint32_t* queues, size_t count,
                                     const struct devmem_dmabuf* dmabuf,
                                     struct devmem_rx_binding** binding,
                                     struct devmem_error** error);
/* The kernel's number for it, from 1; devmem_piece::dmabuf_id says the same. */
DEVMEM_API uint32_t devmem_rx_binding_id(const struct devmem_rx_binding* binding);
/* Gives the queues back to host memory. */
DEVMEM_API void devmem_rx_binding_free(struct devmem_rx_binding* binding);

/*
 * A dmabuf bound to an interface to send from, any number of times. It works only for whoever has
 * the effective user id of the thread that made it, or CAP_NET_ADMIN.
 */
struct devmem_tx_binding;

/*
 * Needs no privilege. -EOPNOTSUPP (driver or kernel can't), -ENODEV (no such interface), -EINVAL
 * (the dmabuf is not of whole pages).
 */
DEVMEM_API int devmem_tx_binding_new(uint32_t ifindex, const struct devmem_dmabuf* dmabuf,
                                     struct devmem_tx_binding** binding,
                                     struct devmem_error** error);
/* The kernel's number for it, from 1: what devmem_sender_send() wants. */
DEVMEM_API uint32_t devmem_tx_binding_id(const struct devmem_tx_binding* binding);
/* Nothing more can be sent from it. What was sent before stays mapped, and leaves. */
DEVMEM_API void devmem_tx_binding_free(struct devmem_tx_binding* binding);

/*
 * How much of a binding's memory receivers keep from the NIC, and how much of it they may. The NIC
 * drops what it has no memory for; receivers that share a budget stop before that. Once they hold
 * back as much as its limit, devmem_receiver_receive() answers DEVMEM_STARVED and reads nothing,
 * and the peer waits. They go on when memory goes back.
 *
 * Whole pages are counted: a piece of one byte keeps its page. What lies unread in sockets is not
 * counted, nor what the NIC's ring holds, so the dmabuf must be larger than the limit: by a page
 * for each of the ring's descriptors, and by SO_RCVBUF for each connection.
 *
 * Any thread may use a budget, all of them at once.
 */
struct devmem_budget;

/*
 * binding: devmem_rx_binding_id(), or the devmem_piece::dmabuf_id of one that another program made.
 * limit: bytes, of which at least a page is allowed; UINT64_MAX: none, it only counts.
 */
DEVMEM_API int devmem_budget_new(uint32_t binding, uint64_t limit, struct devmem_budget** budget,
                                 struct devmem_error** error);
/*
 * Bytes held back: in pieces that are lent or taken, or on their way to the kernel. For as long as
 * a receive lasts also what it may yet get.
 */
DEVMEM_API uint64_t devmem_budget_held(const struct devmem_budget* budget);
/* How often a receive was answered DEVMEM_STARVED. */
DEVMEM_API uint64_t devmem_budget_refusals(const struct devmem_budget* budget);
/*
 * For poll(): readable, unless a receive was refused and nothing has gone back since. So whoever
 * was refused waits for this, and not for the socket. Still owned by the budget; never read it.
 */
DEVMEM_API int devmem_budget_fd(const struct devmem_budget* budget);
/* Receivers and frags that need it go on with it. */
DEVMEM_API void devmem_budget_free(struct devmem_budget* budget);

/* What a call of the data path came to. */
enum devmem_state {
    DEVMEM_OK = 0,          /* received: there are pieces; sent: all, or the first bytes of it */
    DEVMEM_WOULD_BLOCK = 1, /* nothing now; also when a signal cut a wait short */
    DEVMEM_END = 2,         /* received: the peer has sent everything */
    DEVMEM_RESET = 3,       /* the connection is broken */
    DEVMEM_NO_MEMORY = 4,   /* sent: too many sends in flight, complete some first */
    DEVMEM_FAILED = 5,      /* see error */
    DEVMEM_STARVED = 6 /* received: nothing was read, for a budget is used up: give some back */
};

/* Flags of the data path. */
enum devmem_flags {
    DEVMEM_WAIT = 1, /* block, unless the socket is non-blocking; without it never */
    DEVMEM_MORE = 2  /* send: more is to follow at once, so that TCP may wait for it */
};

/* A run of bytes of the stream, all in one place. Its size never changes. */
struct devmem_piece {
    const void* host;   /* the bytes themselves; NULL if they are in a dmabuf */
    uint64_t offset;    /* bytes from the start of the dmabuf */
    uint32_t size;      /* bytes */
    uint32_t token;     /* names it to devmem_receiver_take(); 0: it has none */
    uint32_t dmabuf_id; /* devmem_rx_binding_id(); 0 for host bytes */
    uint32_t reserved;  /* 0 */
};

/* What a receive gave. */
struct devmem_received {
    enum devmem_state state;
    /*
     * Positive for DEVMEM_RESET and DEVMEM_FAILED. ENOMEM and EBUSY pass and consumed nothing.
     * EBADMSG: the kernel cut a control message and bytes are missing; the pieces are those it did
     * report.
     */
    int error;
    const struct devmem_piece* pieces; /* in stream order */
    size_t count;
    size_t bytes;  /* sum of the pieces */
    int budget_fd; /* for DEVMEM_STARVED: devmem_budget_fd() of that budget; else -1 */
};

/*
 * Reads a TCP connection whose payload may land in device memory. Every byte of the stream comes
 * out exactly once and in order, wherever it landed. Pieces are lent: the next receive, give_back
 * or free takes them back.
 */
struct devmem_receiver;

struct devmem_receiver_options {
    size_t size;       /* sizeof(struct devmem_receiver_options) */
    size_t host_bytes; /* most bytes of a call, also of those in a dmabuf; 0: 1 MiB */
    size_t pieces;     /* most pieces of a call, at first; 0: 1024 */
    size_t flush_at;   /* freed frags gather to this many before they go back; 0: 64 */
    /*
     * At most one for each binding whose memory may come on this socket, in any order; NULL: none.
     * Read during the call. With any, a call reads at most what half of the room left can hold, and
     * DEVMEM_WAIT heeds no SO_RCVTIMEO.
     */
    struct devmem_budget* const* budgets;
    size_t budget_count;
};

/* options may be NULL. -EBADF: socket is none. */
DEVMEM_API int devmem_receiver_new(int socket, const struct devmem_receiver_options* options,
                                   struct devmem_receiver** receiver, struct devmem_error** error);
/*
 * Gives back the previous pieces and reads what is there. flags: DEVMEM_WAIT; but DEVMEM_STARVED is
 * answered at once. Never NULL; what it points to lasts until the next call on this receiver.
 */
DEVMEM_API const struct devmem_received* devmem_receiver_receive(struct devmem_receiver* receiver,
                                                                 unsigned flags);

/* A piece in device memory, kept longer. It keeps the socket open. */
struct devmem_frag;

/*
 * Keeps a piece of the last receive. NULL: it is not on the device, it was taken before, or there
 * is no memory (it allocates a few bytes); the piece stays lent in that case.
 */
DEVMEM_API struct devmem_frag* devmem_receiver_take(struct devmem_receiver* receiver,
                                                    const struct devmem_piece* piece);
/* What was taken; lasts as long as frag. Any thread. */
DEVMEM_API const struct devmem_piece* devmem_frag_piece(const struct devmem_frag* frag);
/* Gives the memory back to the NIC, soon: see devmem_receiver_flush(). Any thread. */
DEVMEM_API void devmem_frag_free(struct devmem_frag* frag);

/* Gives the last pieces back now, those taken excepted, and flushes. 0 or a negative errno. */
DEVMEM_API int devmem_receiver_give_back(struct devmem_receiver* receiver);
/*
 * Sends the tokens of freed frags to the kernel, as receive does; before sleeping otherwise, lest
 * the NIC run dry. 0 or a negative errno.
 */
DEVMEM_API int devmem_receiver_flush(struct devmem_receiver* receiver);
/* Frags that the kernel has not got back: lent, taken, and freed but not flushed. */
DEVMEM_API size_t devmem_receiver_outstanding(const struct devmem_receiver* receiver);
/*
 * Bytes of a binding's memory that they keep from the NIC, as its budget counts them; 0 for a
 * binding without one.
 */
DEVMEM_API uint64_t devmem_receiver_held(const struct devmem_receiver* receiver, uint32_t binding);
/* The receiver's descriptor of the socket, for poll(); still owned by it. */
DEVMEM_API int devmem_receiver_fd(const struct devmem_receiver* receiver);
DEVMEM_API void devmem_receiver_free(struct devmem_receiver* receiver);

/*
 * Makes what was received contiguous in another dmabuf, and gives the memory where it landed back.
 */
struct devmem_gather;

/* Where pieces of a binding lie. */
struct devmem_gather_source {
    uint32_t dmabuf_id;                 /* devmem_rx_binding_id() */
    const struct devmem_dmabuf* memory; /* what is bound */
};

/* One source for each binding whose memory may come; read during the call. */
DEVMEM_API int devmem_gather_new(const struct devmem_gather_source* sources, size_t count,
                                 const struct devmem_dmabuf* to, struct devmem_gather** gather,
                                 struct devmem_error** error);
/*
 * Copies pieces one after the other to offset at, those in host memory too, and when that is
 * complete gives them back, those taken excepted: their memory is the NIC's again when this returns
 * 0. pieces: some or all of receiver's last receive, in any order; a part of one may be copied as a
 * piece whose token is 0.
 *
 * 0 or a negative errno, and then nothing was given back: -EINVAL (a piece of no source, or too
 * little room: nothing was copied), -ENOMEM (it allocates for more than 65537 pieces at once), or
 * what the device said.
 */
DEVMEM_API int devmem_gather_pieces(struct devmem_gather* gather, struct devmem_receiver* receiver,
                                    const struct devmem_piece* pieces, size_t count, uint64_t at);
DEVMEM_API void devmem_gather_free(struct devmem_gather* gather);

/* Some bytes of a dmabuf. */
struct devmem_extent {
    size_t offset; /* bytes from the start of the dmabuf */
    size_t length; /* bytes */
};

/*
 * What is left of extents once the first so many of their bytes have been sent: returns how many of
 * them are done with, and cuts the first one left where it must be.
 */
DEVMEM_API size_t devmem_drop_front(struct devmem_extent* extents, size_t count, size_t bytes);

/* What a send did. */
struct devmem_sent {
    enum devmem_state state;
    /*
     * Positive for DEVMEM_NO_MEMORY, DEVMEM_RESET and DEVMEM_FAILED. For device memory: EINVAL (no
     * such binding, or another user's), EFAULT (not within the dmabuf), ENODEV (the route leaves by
     * another interface), EHOSTUNREACH (no route), EOPNOTSUPP (the CPU would have to read it).
     */
    int error;
    size_t bytes;    /* how many were sent, from the front */
    uint64_t ticket; /* for devmem_sender_done(); 0: needs no waiting */
};

/*
 * Sends on a TCP connection what lies in device memory, and in between what lies in host memory.
 * Bytes in a dmabuf are not copied: they must stay as they are until devmem_sender_done() says so
 * of their ticket. Nobody else may send with MSG_ZEROCOPY on the socket or read its error queue.
 */
struct devmem_sender;

struct devmem_sender_options {
    size_t size;      /* sizeof(struct devmem_sender_options) */
    size_t in_flight; /* most sends in flight; 0: 16384 */
    size_t next;      /* how many MSG_ZEROCOPY sends the socket has seen before */
};

/* options may be NULL. -EBADF: socket is none; other errors: it is not TCP. */
DEVMEM_API int devmem_sender_new(int socket, const struct devmem_sender_options* options,
                                 struct devmem_sender** sender, struct devmem_error** error);
/*
 * Sends from a dmabuf. binding: devmem_tx_binding_id(). flags: DEVMEM_WAIT, DEVMEM_MORE. Takes at
 * most the first 1024 extents. Never NULL; what it points to lasts until the next call on sender.
 */
DEVMEM_API const struct devmem_sent* devmem_sender_send(struct devmem_sender* sender,
                                                        uint32_t binding,
                                                        const struct devmem_extent* extents,
                                                        size_t count, unsigned flags);
/* Sends from host memory, by an ordinary copy: the bytes are free again at once. */
DEVMEM_API const struct devmem_sent* devmem_sender_send_bytes(struct devmem_sender* sender,
                                                              const void* bytes, size_t size,
                                                              unsigned flags);
/*
 * Reads what the kernel says of sends that are complete; returns how many it newly says that of.
 * With DEVMEM_WAIT it waits for at least one, if any is pending; 0 then means that a signal came.
 */
DEVMEM_API size_t devmem_sender_complete(struct devmem_sender* sender, unsigned flags);
/* Whether devmem_sender_complete() has heard that the kernel is done with a send. */
DEVMEM_API bool devmem_sender_done(const struct devmem_sender* sender, uint64_t ticket);
/* Sends from a dmabuf that are not done. */
DEVMEM_API size_t devmem_sender_pending(const struct devmem_sender* sender);
/* Completions of sends that were not made here: if not 0, devmem_sender_done() can't be relied on.
 */
DEVMEM_API uint64_t devmem_sender_unknown(const struct devmem_sender* sender);
/* The sender's descriptor of the socket, for poll(), shutdown() and the like; still owned by it. */
DEVMEM_API int devmem_sender_fd(const struct devmem_sender* sender);
/* Does not wait for what is in flight: nobody can tell any more when the memory is free. */
DEVMEM_API void devmem_sender_free(struct devmem_sender* sender);

/* What cannot be done without the thing that a finding is about. */
enum devmem_use { DEVMEM_BOTH = 0, DEVMEM_RECEIVE = 1, DEVMEM_SEND = 2, DEVMEM_EXTRA = 3 };
enum devmem_presence { DEVMEM_PRESENT = 0, DEVMEM_MISSING = 1, DEVMEM_UNKNOWN = 2 };

/* One thing that device memory TCP needs or can use, and whether it is there. */
struct devmem_finding {
    const char* subject; /* "kernel", "memory", an interface's name ...; see devmem(1) */
    const char* name;    /* of the thing, one word; one finding of a subject has it */
    const char* seen;    /* what tells so */
    const char* remedy;  /* what to do about it, or how to find out; "" if it is there */
    enum devmem_use use;
    enum devmem_presence presence;
};

/* What a probe found. Any thread may read it. */
struct devmem_findings;

/*
 * Looks what this machine can do, or with an interface what this NIC can; NULL: all. Changes
 * nothing and needs no privilege. Any thread. Fails if there is no such interface.
 */
DEVMEM_API int devmem_probe(const char* interface, struct devmem_findings** findings,
                            struct devmem_error** error);
DEVMEM_API size_t devmem_findings_count(const struct devmem_findings* findings);
/* Lasts as long as findings; NULL if there are not so many. */
DEVMEM_API const struct devmem_finding* devmem_findings_get(const struct devmem_findings* findings,
                                                            size_t index);
/* Whether nothing stands in the way of a use: DEVMEM_RECEIVE, DEVMEM_SEND or DEVMEM_BOTH. */
DEVMEM_API bool devmem_findings_ready(const struct devmem_findings* findings, enum devmem_use use);
DEVMEM_API void devmem_findings_free(struct devmem_findings* findings);

#ifdef __cplusplus
}
#endif

#endif
