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

/* Most niovs given back with one taking of the lock. */
#define DEVMEM_RETURN_BATCH	32
static_assert(DEVMEM_RETURN_BATCH >= DEVMEM_TOKEN_NIOVS_MAX);

/**
 * struct devmem_return - tokens on their way back
 * @ranges: the numbers that are still to be looked at
 * @num_ranges: how many ranges
 * @done: of the first range, how many numbers have been looked at
 * @budget: how many more may be
 * @tokens: how many tokens were found
 * @num_niovs: how many niovs are to be given back for them
 * @niovs: which
 */
struct devmem_return {
	const struct dmabuf_token *ranges;
	unsigned int num_ranges;
	u32 done;
	u32 budget;
	u32 tokens;
	unsigned int num_niovs;
	struct net_iov *niovs[DEVMEM_RETURN_BATCH];
};

static void devmem_token_put(const struct devmem_token *token)
{
	u32 i;

	for (i = 0; i < token->count; i++)
		page_pool_return_skb_niov(&token->niov[i]);
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

int devmem_tokens_reserve(struct sock *sk)
{
	struct devmem_tokens *tokens = sk->sk_devmem_tokens;

	if (unlikely(!tokens))
		return devmem_tokens_create(sk);
	if (unlikely(READ_ONCE(tokens->used) > tokens->mask / 2))
		return devmem_tokens_grow(tokens);
	return 0;
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
 * @sk: the socket; room has been reserved
 * @niov: the first of @count niovs that adjoin
 * @count: how many, at most DEVMEM_TOKEN_NIOVS_MAX
 *
 * Takes a reference on each niov. The token is valid at once: whoever guesses
 * its number before he is told it returns it, and nothing worse.
 *
 * Return: its number
 */
u32 devmem_token_add(struct sock *sk, struct net_iov *niov, u32 count)
{
	struct devmem_tokens *tokens = sk->sk_devmem_tokens;
	struct devmem_token *slot;
	u32 number, i;

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

/* Takes tokens of the first range, as long as there is room for their niovs.
 * Returns false if there is none for the next.
 */
static bool devmem_tokens_take_range(struct devmem_tokens *tokens,
				     struct devmem_return *ret)
{
	u32 number = ret->ranges->token_start + ret->done;
	u32 left = min(ret->ranges->token_count - ret->done, ret->budget);
	u32 end = number + left, mask = tokens->mask, taken = 0;
	u32 n = ret->num_niovs, count;
	struct devmem_token *slot;
	struct net_iov *niov;

	for (; number != end; number++) {
		slot = &tokens->slot[number & mask];
		if (slot->token != number || !number)
			continue;
		niov = slot->niov;
		count = slot->count;
		if (n + count > DEVMEM_RETURN_BATCH)
			break;
		while (count--)
			ret->niovs[n++] = niov++;
		slot->token = 0;
		taken++;
	}
	left -= end - number;
	ret->done += left;
	ret->budget -= left;
	ret->tokens += taken;
	ret->num_niovs = n;
	WRITE_ONCE(tokens->used, tokens->used - taken);
	return number == end;
}

/* Takes as many tokens as there is room for. Returns false if there are more. */
static bool devmem_tokens_take(struct devmem_tokens *tokens,
			       struct devmem_return *ret)
{
	while (ret->num_ranges && ret->budget) {
		if (!devmem_tokens_take_range(tokens, ret))
			return false;
		if (ret->done != ret->ranges->token_count)
			continue;
		ret->ranges++;
		ret->num_ranges--;
		ret->done = 0;
	}
	return true;
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
	struct devmem_tokens *tokens;
	struct devmem_return ret;
	bool all = false;

	/* Pairs with devmem_tokens_create(). */
	tokens = smp_load_acquire(&sk->sk_devmem_tokens);
	if (!tokens)
		return 0;
	ret.ranges = ranges;
	ret.num_ranges = n;
	ret.done = 0;
	ret.budget = DEVMEM_RETURN_MAX;
	ret.tokens = 0;
	while (!all) {
		ret.num_niovs = 0;
		spin_lock(&tokens->lock);
		all = devmem_tokens_take(tokens, &ret);
		spin_unlock(&tokens->lock);
		page_pool_return_skb_niovs(ret.niovs, ret.num_niovs);
	}
	return ret.tokens;
}

void devmem_tokens_destroy(struct sock *sk)
{
	struct devmem_tokens *tokens = sk->sk_devmem_tokens;
	u32 i;

	if (!tokens)
		return;
	sk->sk_devmem_tokens = NULL;
	for (i = 0; i <= tokens->mask; i++)
		if (tokens->slot[i].token)
			devmem_token_put(&tokens->slot[i]);
	kvfree(tokens->slot);
	kfree(tokens);
}
