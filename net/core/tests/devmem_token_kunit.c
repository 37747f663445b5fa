// SPDX-License-Identifier: GPL-2.0
/* Tests of tokens. The sockets here are sockets to devmem_token.c alone, and
 * the niovs have no memory.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <net/devmem_token.h>
#include <net/page_pool/helpers.h>
#include <net/sock.h>

#include "../devmem_token_priv.h"

#define NIOVS	8
#define HELD	10	/* references that the test itself holds */

/* The pool gets nothing back, as the test lets go of nothing. */
struct token_test {
	struct net_iov niovs[NIOVS];
	struct page_pool *pool;
	struct sock *sk;
};

static int token_test_init(struct kunit *test)
{
	struct token_test *t;
	int i;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->sk = kunit_kzalloc(test, sizeof(*t->sk), GFP_KERNEL);
	t->pool = kunit_kzalloc(test, sizeof(*t->pool), GFP_KERNEL);
	if (!t->sk || !t->pool)
		return -ENOMEM;
	spin_lock_init(&t->pool->ring.producer_lock);
	for (i = 0; i < NIOVS; i++) {
		t->niovs[i].pp = t->pool;
		atomic_long_set(&t->niovs[i].pp_ref_count, HELD);
	}
	devmem_tokens_init(t->sk);
	test->priv = t;
	return 0;
}

/* A socket that goes gives back what its process did not. */
static void token_test_exit(struct kunit *test)
{
	struct token_test *t = test->priv;
	int i;

	if (!t)
		return;
	devmem_tokens_destroy(t->sk);
	KUNIT_EXPECT_NULL(test, t->sk->sk_devmem_tokens);
	for (i = 0; i < NIOVS; i++)
		KUNIT_EXPECT_EQ(test, HELD,
				atomic_long_read(&t->niovs[i].pp_ref_count));
}

static long token_refs(struct kunit *test, int i)
{
	struct token_test *t = test->priv;

	return atomic_long_read(&t->niovs[i].pp_ref_count) - HELD;
}

/* A token for @count niovs from niov @i on. */
static u32 token_add(struct kunit *test, int i, u32 count)
{
	struct token_test *t = test->priv;
	int number = devmem_token_add(t->sk, &t->niovs[i], count);

	KUNIT_ASSERT_GT(test, number, 0);
	return number;
}

static u32 token_return(struct kunit *test, u32 start, u32 count)
{
	struct dmabuf_token range = {
		.token_start = start,
		.token_count = count,
	};
	struct token_test *t = test->priv;

	return devmem_tokens_return(t->sk, &range, 1);
}

static void numbers_are_in_sequence(struct kunit *test)
{
	int i;

	for (i = 1; i <= 200; i++)
		KUNIT_ASSERT_EQ(test, (u32)i, token_add(test, i % NIOVS, 1));
	KUNIT_EXPECT_EQ(test, 25L, token_refs(test, 3));
}

static void token_holds_all_its_niovs(struct kunit *test)
{
	u32 token = token_add(test, 2, 3);
	int i;

	for (i = 0; i < NIOVS; i++)
		KUNIT_EXPECT_EQ(test, i >= 2 && i < 5 ? 1L : 0L,
				token_refs(test, i));
	KUNIT_EXPECT_EQ(test, 1U, token_return(test, token, 1));
	for (i = 0; i < NIOVS; i++)
		KUNIT_EXPECT_EQ(test, 0L, token_refs(test, i));
}

static void no_tokens_to_return(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, 0, 1));
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, 1, U32_MAX));
}

static void second_return_is_nothing(struct kunit *test)
{
	u32 first = token_add(test, 0, 1);
	u32 second = token_add(test, 0, 1);

	KUNIT_EXPECT_EQ(test, 1U, token_return(test, first, 1));
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, first, 1));
	KUNIT_EXPECT_EQ(test, 1L, token_refs(test, 0));
	KUNIT_EXPECT_EQ(test, 1U, token_return(test, first, 2));
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, first, 2));
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, second, 1));
}

static void unknown_numbers_are_left_out(struct kunit *test)
{
	u32 token;
	int i;

	for (i = 0; i < 10; i++)
		token = token_add(test, 0, 1);
	/* What is no number of a token, though its slot is taken. */
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, 0, 1));
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, token + 1, 50));
	KUNIT_EXPECT_EQ(test, 0U,
			token_return(test, token + DEVMEM_TOKENS_MIN, 1));
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, token | BIT(31), 1));
	KUNIT_EXPECT_EQ(test, 10L, token_refs(test, 0));
	/* Known ones among them are not, and numbers wrap. */
	KUNIT_EXPECT_EQ(test, 3U, token_return(test, token - 2, 100));
	KUNIT_EXPECT_EQ(test, 5U, token_return(test, U32_MAX - 3, 4 + 6));
	KUNIT_EXPECT_EQ(test, 2L, token_refs(test, 0));
}

static void ranges_are_all_looked_at(struct kunit *test)
{
	struct dmabuf_token ranges[] = {
		{ .token_start = 3, .token_count = 2 },
		{ .token_start = 7, .token_count = 0 },
		{ .token_start = 3, .token_count = 3 },
		{ .token_start = 1, .token_count = 1 },
	};
	struct token_test *t = test->priv;
	int i;

	for (i = 0; i < 8; i++)
		token_add(test, i, 1);
	/* 3 and 4, none, 5, 1 */
	KUNIT_EXPECT_EQ(test, 4U, devmem_tokens_return(t->sk, ranges,
						       ARRAY_SIZE(ranges)));
	KUNIT_EXPECT_EQ(test, 0U, devmem_tokens_return(t->sk, ranges, 0));
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, i == 1 || i > 4 ? 1L : 0L,
				token_refs(test, i));
}

/* One call looks at DEVMEM_RETURN_MAX numbers, whether there is a token or not;
 * more would keep the CPU for as long as userspace likes.
 */
static void one_call_ends(struct kunit *test)
{
	struct dmabuf_token ranges[] = {
		{ .token_start = 1U << 20, .token_count = DEVMEM_RETURN_MAX - 24 },
		{ .token_start = 1, .token_count = 100 },
	};
	struct token_test *t = test->priv;
	int i;

	for (i = 0; i < DEVMEM_RETURN_MAX + 500; i++)
		token_add(test, 0, 1);
	KUNIT_EXPECT_EQ(test, 24U, devmem_tokens_return(t->sk, ranges, 2));
	KUNIT_EXPECT_EQ(test, (u32)DEVMEM_RETURN_MAX,
			token_return(test, 25, U32_MAX));
	KUNIT_EXPECT_EQ(test, 0U, token_return(test, 25, U32_MAX));
	KUNIT_EXPECT_EQ(test, 500U - 24,
			token_return(test, 25 + DEVMEM_RETURN_MAX, U32_MAX));
	KUNIT_EXPECT_EQ(test, 0L, token_refs(test, 0));
}

/* Far more than the table begins with, given back in another order. */
static void many_tokens(struct kunit *test)
{
	struct token_test *t = test->priv;
	const u32 n = 50000, stride = 7919;
	u32 i, number = 0;

	for (i = 0; i < n; i++)
		KUNIT_ASSERT_EQ(test, i + 1, token_add(test, i % NIOVS, 1));
	KUNIT_EXPECT_EQ(test, n, t->sk->sk_devmem_tokens->used);
	/* n and the stride have no factor in common: each number comes once. */
	for (i = 0; i < n; i++) {
		number = (number + stride) % n;
		KUNIT_ASSERT_EQ(test, 1U, token_return(test, number + 1, 1));
	}
	KUNIT_EXPECT_EQ(test, 0U, t->sk->sk_devmem_tokens->used);
	for (i = 0; i < NIOVS; i++)
		KUNIT_EXPECT_EQ(test, 0L, token_refs(test, i));
}

/* Tokens that are out for long are in the way of new ones once for each round
 * of the table, and make it grow no more than others.
 */
static void held_tokens_are_left_out(struct kunit *test)
{
	struct token_test *t = test->priv;
	struct devmem_tokens *tokens;
	u32 held[] = { 1, 2, 30 };
	u32 i, j, token;

	for (i = 1; i <= 30; i++)
		token_add(test, 0, 1);
	token_return(test, 3, 27);
	tokens = t->sk->sk_devmem_tokens;
	for (i = 0; i < 10 * DEVMEM_TOKENS_MIN; i++) {
		token = token_add(test, 1, 1);
		for (j = 0; j < ARRAY_SIZE(held); j++)
			KUNIT_ASSERT_NE(test, held[j] % DEVMEM_TOKENS_MIN,
					token % DEVMEM_TOKENS_MIN);
		KUNIT_ASSERT_EQ(test, 1U, token_return(test, token, 1));
	}
	KUNIT_EXPECT_EQ(test, DEVMEM_TOKENS_MIN - 1U, tokens->mask);
	KUNIT_EXPECT_EQ(test, 3L, token_refs(test, 0));
	for (j = 0; j < ARRAY_SIZE(held); j++)
		KUNIT_EXPECT_EQ(test, 1U, token_return(test, held[j], 1));
}

/* Slots are used again, numbers are not, before there are no others. */
static void numbers_wrap(struct kunit *test)
{
	struct token_test *t = test->priv;

	token_add(test, 0, 1);
	t->sk->sk_devmem_tokens->next = INT_MAX - 1;
	KUNIT_EXPECT_EQ(test, (u32)INT_MAX - 1, token_add(test, 1, 1));
	KUNIT_EXPECT_EQ(test, (u32)INT_MAX, token_add(test, 2, 1));
	/* 0 stands for no token, 1 is out. */
	KUNIT_EXPECT_EQ(test, 2U, token_add(test, 3, 1));
	KUNIT_EXPECT_EQ(test, 2U, token_return(test, INT_MAX - 1, 2));
	KUNIT_EXPECT_EQ(test, 0L, token_refs(test, 1));
	KUNIT_EXPECT_EQ(test, 0L, token_refs(test, 2));
	KUNIT_EXPECT_EQ(test, 2U, token_return(test, 1, 2));
}

static void too_many_tokens(struct kunit *test)
{
	struct devmem_tokens *tokens;
	struct token_test *t = test->priv;
	u32 mask, used;

	token_add(test, 0, 1);
	tokens = t->sk->sk_devmem_tokens;
	mask = tokens->mask;
	used = tokens->used;

	/* Not half full: there is room. */
	tokens->used = mask / 2;
	KUNIT_EXPECT_EQ(test, 2U, token_add(test, 0, 1));
	KUNIT_EXPECT_EQ(test, mask, tokens->mask);

	/* As if the table had grown as far as it may. */
	tokens->mask = DEVMEM_TOKENS_MAX - 1;
	tokens->used = DEVMEM_TOKENS_MAX / 2;
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			devmem_token_add(t->sk, &t->niovs[0], 1));
	KUNIT_EXPECT_EQ(test, 2L, token_refs(test, 0));
	tokens->mask = mask;
	tokens->used = used + 1;
	KUNIT_EXPECT_EQ(test, 2U, token_return(test, 1, 2));
}

/* A socket with many of them does not wait until they all are back. */
static void large_table_is_emptied_later(struct kunit *test)
{
	struct token_test *t = test->priv;
	int i, tries;

	for (i = 0; i <= DEVMEM_DESTROY_MAX; i++)
		token_add(test, 3, 1);
	KUNIT_EXPECT_EQ(test, DEVMEM_DESTROY_MAX + 1L, token_refs(test, 3));
	devmem_tokens_destroy(t->sk);
	KUNIT_EXPECT_NULL(test, t->sk->sk_devmem_tokens);
	for (tries = 0; tries < 500 && token_refs(test, 3); tries++)
		msleep(20);
	KUNIT_EXPECT_EQ(test, 0L, token_refs(test, 3));
}

struct token_thread {
	struct sock *sk;
	u32 last;
	u32 returned;
	struct completion done;
};

/* Returns each number once it stands for a token. */
static int token_thread(void *data)
{
	struct token_thread *thread = data;
	struct dmabuf_token range = { .token_start = 1 };
	u32 n;

	while (range.token_start <= thread->last) {
		range.token_count = thread->last + 1 - range.token_start;
		n = devmem_tokens_return(thread->sk, &range, 1);
		thread->returned += n;
		range.token_start += n;
		cond_resched();
	}
	complete(&thread->done);
	return 0;
}

/* A thread returns what another one, who has the socket lock, is still adding
 * to; the table grows meanwhile, and none of them is held for long enough to be
 * left out, for it is at most as full as it ever was.
 */
static void return_while_adding(struct kunit *test)
{
	struct token_test *t = test->priv;
	struct token_thread thread = { .sk = t->sk, .last = 20000 };
	struct task_struct *task;
	u32 i;

	init_completion(&thread.done);
	for (i = 0; i < 1000; i++)
		token_add(test, 0, 1);
	task = kthread_run(token_thread, &thread, "token_thread");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	for (; i < thread.last; i++) {
		token_add(test, i % NIOVS, 1);
		cond_resched();
	}
	wait_for_completion(&thread.done);
	KUNIT_EXPECT_EQ(test, thread.last, thread.returned);
	KUNIT_EXPECT_EQ(test, 0U, t->sk->sk_devmem_tokens->used);
	for (i = 0; i < NIOVS; i++)
		KUNIT_EXPECT_EQ(test, 0L, token_refs(test, i));
}

/* What a listener has is not its child's, which was made as a copy of it. */
static void clone_has_none(struct kunit *test)
{
	struct token_test *t = test->priv;
	struct dmabuf_token range = { .token_start = 1, .token_count = 1 };
	struct sock *child = kunit_kzalloc(test, sizeof(*child), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, child);
	token_add(test, 0, 1);
	child->sk_devmem_tokens = t->sk->sk_devmem_tokens;
	devmem_tokens_init(child);
	KUNIT_EXPECT_EQ(test, 0U, devmem_tokens_return(child, &range, 1));
	devmem_tokens_destroy(child);
	KUNIT_EXPECT_EQ(test, 1L, token_refs(test, 0));
}

static struct kunit_case token_test_cases[] = {
	KUNIT_CASE(numbers_are_in_sequence),
	KUNIT_CASE(token_holds_all_its_niovs),
	KUNIT_CASE(no_tokens_to_return),
	KUNIT_CASE(second_return_is_nothing),
	KUNIT_CASE(unknown_numbers_are_left_out),
	KUNIT_CASE(ranges_are_all_looked_at),
	KUNIT_CASE(one_call_ends),
	KUNIT_CASE(many_tokens),
	KUNIT_CASE(held_tokens_are_left_out),
	KUNIT_CASE(numbers_wrap),
	KUNIT_CASE(too_many_tokens),
	KUNIT_CASE(large_table_is_emptied_later),
	KUNIT_CASE(return_while_adding),
	KUNIT_CASE(clone_has_none),
	{}
};

static struct kunit_suite token_test_suite = {
	.name = "devmem_token",
	.init = token_test_init,
	.exit = token_test_exit,
	.test_cases = token_test_cases,
};

kunit_test_suite(token_test_suite);
