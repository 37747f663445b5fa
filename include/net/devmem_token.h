/* SPDX-License-Identifier: GPL-2.0 */
/* Tokens: the right of a process to give frags of a socket back. */
#ifndef _NET_DEVMEM_TOKEN_H
#define _NET_DEVMEM_TOKEN_H

#include <linux/types.h>
#include <net/netmem.h>

struct dmabuf_token;
struct devmem_tokens;
struct sock;

#ifdef CONFIG_NET_DEVMEM
/* Of a new socket: those of the listener it was cloned from are not its own. */
void devmem_tokens_init(struct sock *sk);

/* With the socket lock. May sleep. Returns the number, or an error. */
int devmem_token_add(struct sock *sk, struct net_iov *niov, u32 count);

/* Without. They return how many were taken back. */
u32 devmem_token_return(struct sock *sk, u32 number);
u32 devmem_tokens_return(struct sock *sk, const struct dmabuf_token *ranges,
			 unsigned int n);

/* Nobody uses the socket any more. In any context. */
void devmem_tokens_destroy(struct sock *sk);
#else
static inline void devmem_tokens_init(struct sock *sk)
{
}

static inline u32 devmem_token_return(struct sock *sk, u32 number)
{
	return 0;
}

static inline u32 devmem_tokens_return(struct sock *sk,
				       const struct dmabuf_token *ranges,
				       unsigned int n)
{
	return 0;
}

static inline void devmem_tokens_destroy(struct sock *sk)
{
}
#endif /* CONFIG_NET_DEVMEM */

#endif /* _NET_DEVMEM_TOKEN_H */
