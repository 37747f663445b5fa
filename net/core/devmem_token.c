// SPDX-License-Identifier: GPL-2.0
/* The tokens of a socket.
 *
 * Numbers are given out in sequence, so that a process can return many as a
 * range. They lie in a table of a power of two slots, each at its number modulo
 * that: finding one is looking at one slot. A number whose slot is taken, by a
 * token that is out for long, is left out; the table grows when it is half
 * full. So all is O(1), however many tokens are out and for however long.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uio.h>
#include <net/devmem_token.h>
#include <net/page_pool/helpers.h>
#include <net/sock.h>

#include "devmem_token_priv.h"
#include "page_pool_priv.h"

static void devmem_niovs_put(struct net_iov *niov, u32 count)
{
	struct page_pool_return ret = {};

	page_pool_return_adjoining(&ret, niov, count);
	page_pool_return_end(&ret);
}

void devmem_tokens_init(struct sock *sk)
{
	sk->sk_devmem_tokens = NULL;
}

static int devmem_tokens_create(struct sock *sk)
{
	struct devmem_tokens *tokens;

	tokens = kzalloc(sizeof(*tokens), GFP_KERNEL_ACCOUNT);
	if (!tokens)
		return -ENOMEM;
	tokens->slot = kvcalloc(DEVMEM_TOKENS_MIN, sizeof(*tokens->slot),
				GFP_KERNEL_ACCOUNT);
	if (!tokens->slot) {
		kfree(tokens);
		return -ENOMEM;
	}
	spin_lock_init(&tokens->lock);
	tokens->mask = DEVMEM_TOKENS_MIN - 1;
	tokens->next = 1;
	/* Pairs with devmem_tokens_return(), which has no socket lock. */
	smp_store_release(&sk->sk_devmem_tokens, tokens);
	return 0;
}

/* Only the owner of the socket lock grows the table. No two tokens that had
 * different slots share one in a larger table.
 */
static int devmem_tokens_grow(struct devmem_tokens *tokens)
{
	u32 mask = 2 * tokens->mask + 1;
	struct devmem_token *slot, *old;
	u32 i;

	if (mask >= DEVMEM_TOKENS_MAX)
		return -ENOMEM;
	slot = kvcalloc(mask + 1, sizeof(*slot), GFP_KERNEL_ACCOUNT);
	if (!slot)
		return -ENOMEM;

	spin_lock(&tokens->lock);
	old = tokens->slot;
	for (i = 0; i <= tokens->mask; i++)
		if (old[i].token)
			slot[old[i].token & mask] = old[i];
	tokens->slot = slot;
	tokens->mask = mask;
	spin_unlock(&tokens->lock);
	kvfree(old);
	return 0;
}

/* Is there room for one more? */
static bool devmem_tokens_room(const struct devmem_tokens *tokens)
{
	return tokens && READ_ONCE(tokens->used) <= tokens->mask / 2;
}

static int devmem_tokens_reserve(struct sock *sk)
{
	struct devmem_tokens *tokens = sk->sk_devmem_tokens;

	return tokens ? devmem_tokens_grow(tokens) : devmem_tokens_create(sk);
}

/* Finds the next number whose slot is free: there are some, for room was made
 * and nobody else adds.
 */
static struct devmem_token *devmem_tokens_next(struct devmem_tokens *tokens)
{
	struct devmem_token *slot;
	u32 number;

	do {
		number = tokens->next;
		tokens->next = number == INT_MAX ? 1 : number + 1;
		slot = &tokens->slot[number & tokens->mask];
	} while (slot->token);
	slot->token = number;
	return slot;
}

/**
 * devmem_token_add - make a token
 * @sk: the socket, with its lock
 * @niov: the first of @count niovs that adjoin
 * @count: how many
 *
 * Takes a reference on each niov. The token is valid at once: whoever guesses
 * its number before he is told it returns it, and nothing worse. May sleep.
 *
 * Return: its number, or -ENOMEM
 */
int devmem_token_add(struct sock *sk, struct net_iov *niov, u32 count)
{
	struct devmem_tokens *tokens = sk->sk_devmem_tokens;
	struct devmem_token *slot;
	u32 number, i;
	int err;

	if (unlikely(!devmem_tokens_room(tokens))) {
		err = devmem_tokens_reserve(sk);
		if (err)
			return err;
		tokens = sk->sk_devmem_tokens;
	}
	for (i = 0; i < count; i++)
		atomic_long_inc(&niov[i].pp_ref_count);
	spin_lock(&tokens->lock);
	slot = devmem_tokens_next(tokens);
	slot->niov = niov;
	slot->count = count;
	number = slot->token;
	WRITE_ONCE(tokens->used, tokens->used + 1);
	spin_unlock(&tokens->lock);
	return number;
}

/* Takes the tokens of up to @count numbers from @number on, as long as there is
 * nothing unusual about one. Returns how many. Each is few instructions, for this
 * is done for all that is ever received.
 */
static u32 devmem_tokens_take_run(struct devmem_tokens *tokens, u32 number,
				  u32 count, struct page_pool_return *ret)
{
	struct devmem_token *slot = &tokens->slot[number & tokens->mask];
	struct devmem_token *first = slot, *end;
	struct page_pool *pool = ret->pool;
	void **next = ret->next;

	/* 0 is what free slots have. */
	if (!pool || !number)
		return 0;
	count = min3(count, tokens->mask + 1 - (number & tokens->mask),
		     (u32)(ret->end - next));
	for (end = slot + count; slot != end; slot++, number++, next++) {
		if (slot->token != number || slot->count != 1 ||
		    !page_pool_return_fits(pool, next, slot->niov))
			break;
		page_pool_return_produce(next, slot->niov);
		slot->token = 0;
	}
	page_pool_return_advance(ret, slot - first);
	return slot - first;
}

/* Takes the token of that number, if there is one. */
static bool devmem_tokens_take_one(struct devmem_tokens *tokens, u32 number,
				   struct page_pool_return *ret)
{
	struct devmem_token *slot = &tokens->slot[number & tokens->mask];

	if (slot->token != number || !number)
		return false;
	page_pool_return_adjoining(ret, slot->niov, slot->count);
	slot->token = 0;
	return true;
}

/* Takes the tokens of @count numbers from @number on. Returns how many there
 * were.
 */
static u32 devmem_tokens_take(struct devmem_tokens *tokens, u32 number,
			      u32 count, struct page_pool_return *ret)
{
	u32 taken = 0, n;

	for (; count; count -= n, number += n) {
		n = devmem_tokens_take_run(tokens, number, count, ret);
		taken += n;
		if (n)
			continue;
		taken += devmem_tokens_take_one(tokens, number, ret);
		n = 1;
	}
	return taken;
}

/* devmem_tokens_return() for one, in fewer instructions. */
u32 devmem_token_return(struct sock *sk, u32 number)
{
	struct devmem_tokens *tokens;
	struct devmem_token *slot;
	struct net_iov *niov;
	u32 count;

	/* Pairs with devmem_tokens_create(). */
	tokens = smp_load_acquire(&sk->sk_devmem_tokens);
	if (!tokens || !number)
		return 0;
	spin_lock(&tokens->lock);
	slot = &tokens->slot[number & tokens->mask];
	if (slot->token != number) {
		spin_unlock(&tokens->lock);
		return 0;
	}
	niov = slot->niov;
	count = slot->count;
	slot->token = 0;
	WRITE_ONCE(tokens->used, tokens->used - 1);
	spin_unlock(&tokens->lock);
	if (count == 1)
		page_pool_return_skb_niov(niov);
	else
		devmem_niovs_put(niov, count);
	return 1;
}

/**
 * devmem_tokens_return - take tokens back
 * @sk: the socket
 * @ranges: their numbers
 * @n: how many ranges
 *
 * Numbers that stand for nothing are left out. After DEVMEM_RETURN_MAX numbers
 * the rest is left for another call.
 *
 * Return: how many tokens were taken back
 */
u32 devmem_tokens_return(struct sock *sk, const struct dmabuf_token *ranges,
			 unsigned int n)
{
	struct page_pool_return ret = {};
	u32 budget = DEVMEM_RETURN_MAX;
	struct devmem_tokens *tokens;
	u32 count, taken = 0;

	/* Pairs with devmem_tokens_create(). */
	tokens = smp_load_acquire(&sk->sk_devmem_tokens);
	if (!tokens)
		return 0;
	/* What interrupts bring meanwhile is not to be done with the lock. It is
	 * held to the end: what comes to stand for a token meanwhile does not,
	 * wherever in the ranges it is.
	 */
	spin_lock_bh(&tokens->lock);
	for (; n && budget; n--, ranges++) {
		count = min(ranges->token_count, budget);
		taken += devmem_tokens_take(tokens, ranges->token_start, count,
					    &ret);
		budget -= count;
	}
	page_pool_return_end(&ret);
	WRITE_ONCE(tokens->used, tokens->used - taken);
	spin_unlock_bh(&tokens->lock);
	return taken;
}

/* The socket is gone, and nobody else knows the table. */
static void devmem_tokens_empty(struct devmem_tokens *tokens, u32 first,
				u32 last)
{
	u32 i;

	for (i = first; i <= last; i++)
		if (tokens->slot[i].token)
			devmem_niovs_put(tokens->slot[i].niov,
					 tokens->slot[i].count);
}

static void devmem_tokens_free(struct devmem_tokens *tokens)
{
	kvfree(tokens->slot);
	kfree(tokens);
}

static void devmem_tokens_destroy_work(struct work_struct *work)
{
	struct devmem_tokens *tokens =
		container_of(work, struct devmem_tokens, destroy_work);
	u32 i;

	for (i = 0; i <= tokens->mask; i += DEVMEM_DESTROY_MAX) {
		local_bh_disable();
		devmem_tokens_empty(tokens, i, i + DEVMEM_DESTROY_MAX - 1);
		local_bh_enable();
		cond_resched();
	}
	devmem_tokens_free(tokens);
}

void devmem_tokens_destroy(struct sock *sk)
{
	struct devmem_tokens *tokens = sk->sk_devmem_tokens;

	if (!tokens)
		return;
	sk->sk_devmem_tokens = NULL;
	if (tokens->mask >= DEVMEM_DESTROY_MAX) {
		INIT_WORK(&tokens->destroy_work, devmem_tokens_destroy_work);
		queue_work(system_unbound_wq, &tokens->destroy_work);
		return;
	}
	devmem_tokens_empty(tokens, 0, tokens->mask);
	devmem_tokens_free(tokens);
}
