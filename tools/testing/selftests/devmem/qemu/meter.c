// SPDX-License-Identifier: GPL-2.0
/* A plugin of QEMU that counts the instructions of the guest, and says on whose account they go. The
 * guest is not changed for it and runs not one instruction more: the kernel may be anybody's.
 *
 * The guest's programs say what is to be measured by marks, which are NOPs (see ../mark.h). At
 * the first, the guest's /proc/kallsyms has been copied to the file "symbols", and all code is
 * translated anew with these calls in it:
 *
 *	a block is executed	counts its instructions
 *	a call, a return	keep the calls in progress, so that it is known when a function that
 *				matters, and was entered, is left
 *	pops in __switch_to_asm	tell the kernel's stacks apart, and with them the threads
 *
 * What runs on a thread goes on the account of its role, user and kernel apart, but for spans within:
 * interrupts, softirqs, the poll of one of dmnic's queues, what TCP or a queueing discipline had put
 * off to send, the hardware that dmnic imitates, and the copy engine of accelmem. A queue is known by
 * the address that its poll reads first; what kind of traffic it has is for the reader of "output" to
 * conclude, from what was done in its polls.
 *
 * What a softirq does around polls is the queue's that was polled last; before the first, that one's.
 * Timers and the like have an account of their own.
 *
 * One CPU only, so nothing is locked.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qemu_plugin.h"

#define EXPORT __attribute__((visibility("default")))
#define KERNEL_BASE (UINT64_C(1) << 63)
#define STACK_BITS 14	/* of a thread's stack in the kernel */
#define ACCOUNTS 64
#define THREADS 4096
#define SPANS 16
#define CALLS 512
#define EARLY 1024

enum kind { USER, KERNEL, RX_POLL, TX_POLL, PUT_OFF, HARDWARE, ENGINE, SOFTIRQ, TIMER, INTERRUPT, NO_KIND };
static const char *const kind_names[] = {
	"user", "kernel", "rx_poll", "tx_poll", "put_off", "hardware", "engine", "softirq", "timer", "interrupt",
};

enum mark { SYMBOLS = 1, RECEIVER, SENDER, NOBODY, START, STOP };

struct symbol {
	uint64_t address;
	char *name;
	enum kind span;		/* that it begins */
	bool switches;
	bool copies;
	uint64_t insns[ACCOUNTS], entries[ACCOUNTS];
};

/* key: the role, or the queue */
struct account {
	enum kind kind;
	uint64_t key;
	uint64_t insns, copied;
};

/* slot: where the address lies that ends it when it is returned to; 0: iret ends it */
struct span {
	enum kind kind;
	struct account *account;
	uint64_t slot;
};

struct thread {
	uint64_t stack;
	uint64_t role;
	unsigned int depth, calls;
	struct span span[SPANS];
	uint64_t call[CALLS];
};

struct block {
	uint64_t insns;
	struct symbol *symbol;
	bool entry;
};

static const char *symbols_path, *output_path;
static struct symbol *symbols, user_symbol = { .name = "(user)", .span = NO_KIND };
static size_t symbol_count;
static struct account accounts[ACCOUNTS];
static unsigned int account_count;
static struct thread threads[THREADS], *thread = &threads[0];
static enum kind unknown_queue = NO_KIND;	/* of the poll that was just entered */
static const struct block *early[EARLY];	/* of a softirq that has polled no queue yet */
static unsigned int early_count;
static struct timespec began;
static bool measuring;

/* ---- symbols ------------------------------------------------------------ */

/* list: each name ends with its NUL. */
static bool is_one_of(const char *name, const char *list)
{
	while (*list && strcmp(name, list))
		list += strlen(list) + 1;
	return *list;
}

static enum kind span_of(const char *name)
{
	if (!strcmp(name, "dmnic_rx_poll"))
		return RX_POLL;
	if (!strcmp(name, "dmnic_tx_poll"))
		return TX_POLL;
	if (!strcmp(name, "dmnic_wire_send"))
		return HARDWARE;
	if (!strcmp(name, "accelmem_copy_host") || !strcmp(name, "accelmem_copy_gather"))
		return ENGINE;
	if (is_one_of(name, "__do_softirq\0handle_softirqs\0net_rx_action\0"))
		return SOFTIRQ;
	if (is_one_of(name, "net_tx_action\0tcp_tasklet_func\0tcp_tsq_workfn\0"))
		return PUT_OFF;
	if (is_one_of(name, "run_timer_softirq\0hrtimer_run_softirq\0rcu_core_si\0tasklet_action\0"
		      "tasklet_hi_action\0run_rebalance_domains\0sched_balance_softirq\0"))
		return TIMER;
	if (!strncmp(name, "asm_sysvec_", 11) || !strcmp(name, "asm_common_interrupt"))
		return INTERRUPT;
	return NO_KIND;
}

static bool is_copy(const char *name)
{
	return !strncmp(name, "copy_user_", 10) || !strncmp(name, "rep_movs_", 9) || strstr(name, "memcpy") ||
	       strstr(name, "memmove");
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

static void fail(const char *what)
{
	fprintf(stderr, "meter: %s\n", what);
	exit(1);
}

static void read_symbols(void)
{
	FILE *file = fopen(symbols_path, "r");
	char line[600], name[512], type;
	size_t room = 0;
	uint64_t address;

	if (!file)
		fail("no file of symbols");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNx64 " %c %511s", &address, &type, name) != 3 || !strchr("tTwW", type))
			continue;
		if (symbol_count == room) {
			room = room ? 2 * room : 1 << 16;
			symbols = realloc(symbols, room * sizeof(*symbols));
		}
		symbols[symbol_count++] = (struct symbol) {
			.address = address,
			.name = strdup(name),
			.span = span_of(name),
			.switches = !strcmp(name, "__switch_to_asm"),
			.copies = is_copy(name),
		};
	}
	fclose(file);
	if (!symbol_count || !symbols[symbol_count - 1].address)
		fail("the symbols have no addresses");
	qsort(symbols, symbol_count, sizeof(*symbols), by_address);
}

static struct symbol *find_symbol(uint64_t address)
{
	size_t low = 0, high = symbol_count;

	if (address < KERNEL_BASE)
		return &user_symbol;
	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (symbols[middle].address <= address)
			low = middle;
		else
			high = middle;
	}
	/* Several names of one function: what begins a span, or is a copy, is to be known. */
	while (low && symbols[low - 1].address == symbols[low].address && symbols[low].span == NO_KIND &&
	       !symbols[low].copies && !symbols[low].switches)
		low--;
	return &symbols[low];
}

/* ---- accounts ----------------------------------------------------------- */

static struct account *account_of(enum kind kind, uint64_t key)
{
	for (unsigned int i = 0; i < account_count; i++)
		if (accounts[i].kind == kind && accounts[i].key == key)
			return &accounts[i];
	if (account_count == ACCOUNTS && measuring)
		fail("more queues than there are accounts");
	/* Those of before don't matter any more. */
	if (account_count == ACCOUNTS)
		account_count = 0;
	accounts[account_count] = (struct account) { .kind = kind, .key = key };
	return &accounts[account_count++];
}

static struct span *innermost(void)
{
	return thread->depth ? &thread->span[thread->depth - 1] : NULL;
}

static struct account *account_now(void)
{
	return thread->depth ? innermost()->account : account_of(KERNEL, thread->role);
}

static void begin_span(enum kind kind, uint64_t slot)
{
	struct account *account = account_now();

	/* Within hardware all is hardware, and so on. */
	if (kind == HARDWARE)
		account = account_of(HARDWARE, account->key);
	else if (kind != RX_POLL && kind != TX_POLL)
		account = account_of(kind, 0);
	else
		unknown_queue = kind;
	if (thread->depth == SPANS)
		fail("spans within spans without end");
	thread->span[thread->depth++] = (struct span) { kind, account, slot };
}

static void count(const struct block *block, struct account *account)
{
	account->insns += block->insns;
	block->symbol->insns[account - accounts] += block->insns;
	block->symbol->entries[account - accounts] += block->entry;
}

/* Whose they were is known, or that nobody's. */
static void count_early(struct account *account)
{
	for (unsigned int i = 0; measuring && i < early_count; i++)
		count(early[i], account);
	early_count = 0;
}

static void queue_known(uint64_t key)
{
	struct account *account = account_of(unknown_queue, key);

	unknown_queue = NO_KIND;
	innermost()->account = account;
	for (unsigned int i = thread->depth - 1; i-- && thread->span[i].kind == SOFTIRQ;)
		thread->span[i].account = account;
	count_early(account);
}

static void end_span(void)
{
	thread->depth--;
	if (thread->span[thread->depth].kind == SOFTIRQ && early_count)
		count_early(account_of(SOFTIRQ, 0));
}

/* ---- while the guest runs ----------------------------------------------- */

static void on_block(unsigned int cpu, void *data)
{
	const struct block *block = data;
	struct account *account;

	if (block->symbol == &user_symbol) {
		while (thread->depth)
			end_span();
		thread->calls = 0;
		account = account_of(USER, thread->role);
	} else {
		if (block->entry && block->symbol->span != NO_KIND)
			begin_span(block->symbol->span, block->symbol->span == INTERRUPT || !thread->calls ?
				   0 : thread->call[thread->calls - 1]);
		account = account_now();
	}
	if (!measuring)
		return;
	if (account->kind != SOFTIRQ || early_count == EARLY)
		count(block, account);
	else
		early[early_count++] = block;
}

/* Calls whose stack is gone are forgotten; those of another stack are of no use now. */
static void forget_calls(uint64_t slot)
{
	while (thread->calls && (thread->call[thread->calls - 1] <= slot ||
				 thread->call[thread->calls - 1] - slot >= 1 << STACK_BITS))
		thread->calls--;
}

static void on_call(unsigned int cpu, uint32_t info, uint64_t slot, void *data)
{
	if (!qemu_plugin_mem_is_store(info))
		return;
	forget_calls(slot);
	if (thread->calls == CALLS)
		fail("calls within calls without end");
	thread->call[thread->calls++] = slot;
}

static void on_return(unsigned int cpu, uint32_t info, uint64_t slot, void *data)
{
	if (qemu_plugin_mem_is_store(info))
		return;
	while (thread->depth && innermost()->slot == slot)
		end_span();
	forget_calls(slot);
}

static void on_iret(unsigned int cpu, void *data)
{
	if (thread->depth && !innermost()->slot)
		end_span();
}

static void on_switch(unsigned int cpu, uint32_t info, uint64_t slot, void *data)
{
	uint64_t stack = slot >> STACK_BITS;
	struct thread *at = &threads[stack % THREADS];

	if (qemu_plugin_mem_is_store(info) || thread->stack == stack)
		return;
	for (unsigned int tries = 0; at->stack && at->stack != stack; tries++) {
		if (tries == THREADS)
			fail("more threads than there is room for");
		at = at == &threads[THREADS - 1] ? &threads[0] : at + 1;
	}
	at->stack = stack;
	thread = at;
}

static void on_poll_read(unsigned int cpu, uint32_t info, uint64_t address, void *data)
{
	if (unknown_queue != NO_KIND && !qemu_plugin_mem_is_store(info))
		queue_known(address);
}

static void on_copy(unsigned int cpu, uint32_t info, uint64_t address, void *data)
{
	if (measuring && qemu_plugin_mem_is_store(info))
		account_now()->copied += UINT64_C(1) << qemu_plugin_mem_size_shift(info);
}

/* ---- translation -------------------------------------------------------- */

enum instruction { OTHER, MARK, CALL, RETURN, IRET, POP, REP_MOVE };

static enum instruction instruction_of(const uint8_t *byte, size_t size, uint8_t *mark)
{
	size_t at = 0;

	if (size == 8 && !memcmp(byte, "\x0f\x1f\x84\x00", 4) && !memcmp(byte + 5, "\x65\x6d\x64", 3)) {
		*mark = byte[4];
		return MARK;
	}
	if (size == 2 && byte[0] == 0x48 && byte[1] == 0xcf)
		return IRET;
	while (at < size - 1 && (byte[at] == 0xf2 || byte[at] == 0xf3 || byte[at] == 0x2e || byte[at] == 0x3e ||
				 (byte[at] & 0xf0) == 0x40))
		at++;
	if (byte[at] == 0xe8 || (byte[at] == 0xff && at + 1 < size && (byte[at + 1] & 0x38) == 0x10))
		return CALL;
	if (byte[at] == 0xc3 || byte[at] == 0xc2)
		return RETURN;
	if ((byte[at] & 0xf8) == 0x58)
		return POP;
	return at && byte[0] == 0xf3 && (byte[at] == 0xa4 || byte[at] == 0xa5) ? REP_MOVE : OTHER;
}

/* QEMU 7.2 mixes up what is asked for if it is not both reads and writes. */
static void watch(struct qemu_plugin_insn *insn, plugin_accessed *call)
{
	qemu_plugin_register_vcpu_mem_cb(insn, call, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
}

static void on_mark(unsigned int cpu, void *data);

static void translate_kernel(struct qemu_plugin_insn *insn, enum instruction what, const struct symbol *symbol)
{
	if (what == CALL)
		watch(insn, on_call);
	else if (what == RETURN)
		watch(insn, on_return);
	else if (what == IRET)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_iret, QEMU_PLUGIN_CB_NO_REGS, NULL);
	else if (what == POP && symbol->switches)
		watch(insn, on_switch);
	else if (what == REP_MOVE || symbol->copies)
		watch(insn, on_copy);
	else if (symbol->span == RX_POLL || symbol->span == TX_POLL)
		watch(insn, on_poll_read);
}

static void translate_marks(struct qemu_plugin_insn *insn, enum instruction what, uint8_t mark)
{
	if (what == MARK)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS,
						       (void *)(uintptr_t)mark);
}

static void on_translation(uint64_t id, struct qemu_plugin_tb *tb)
{
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	size_t count = qemu_plugin_tb_n_insns(tb);
	struct block *block = NULL;
	uint8_t mark = 0;

	if (symbols) {
		block = malloc(sizeof(*block));
		*block = (struct block) { .insns = count, .symbol = find_symbol(address) };
		block->entry = block->symbol->address == address;
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, block);
	}
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		enum instruction what = instruction_of(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn),
						       &mark);

		if (address < KERNEL_BASE)
			translate_marks(insn, what, mark);
		else if (block)
			translate_kernel(insn, what, block->symbol);
	}
}

/* ---- marks -------------------------------------------------------------- */

static uint64_t plugin;

static void again(uint64_t id)
{
	read_symbols();
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
}

static void start(void)
{
	memset(user_symbol.insns, 0, sizeof(user_symbol.insns));
	for (size_t i = 0; i < symbol_count; i++) {
		memset(symbols[i].insns, 0, sizeof(symbols[i].insns));
		memset(symbols[i].entries, 0, sizeof(symbols[i].entries));
	}
	/* Queues are others each time. Who is within a span now has little left of it. */
	account_count = 0;
	for (size_t i = 0; i < THREADS; i++)
		threads[i].depth = 0;
	unknown_queue = NO_KIND;
	early_count = 0;
	measuring = true;
	clock_gettime(CLOCK_MONOTONIC, &began);
}

static double seconds_since_start(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began.tv_sec) + (now.tv_nsec - began.tv_nsec) / 1e9;
}

static void print_functions(FILE *file, size_t account)
{
	const char *comma = "";

	for (size_t i = 0; i < symbol_count; i++) {
		if (!symbols[i].insns[account])
			continue;
		fprintf(file, "%s\"%s@%" PRIx64 "\":[%" PRIu64 ",%" PRIu64 "]", comma, symbols[i].name,
			symbols[i].address, symbols[i].insns[account], symbols[i].entries[account]);
		comma = ",";
	}
}

static void stop(void)
{
	FILE *file = fopen(output_path, "a");

	if (!file)
		fail("can't write its output");
	count_early(account_of(SOFTIRQ, 0));
	measuring = false;
	fprintf(file, "{\"wall_clock\":%.3f,\"accounts\":[", seconds_since_start());
	for (unsigned int i = 0; i < account_count; i++) {
		fprintf(file, "%s{\"kind\":\"%s\",\"key\":%" PRIu64 ",\"insns\":%" PRIu64 ",\"copied\":%" PRIu64
			",\"functions\":{", i ? "," : "", kind_names[accounts[i].kind], accounts[i].key,
			accounts[i].insns, accounts[i].copied);
		print_functions(file, i);
		fputs("}}", file);
	}
	fputs("]}\n", file);
	fclose(file);
	/* A stack may be another thread's next time, and a queue's memory another queue's. */
	for (size_t i = 0; i < THREADS; i++)
		threads[i].role = 0;
}

static void on_mark(unsigned int cpu, void *data)
{
	enum mark mark = (uintptr_t)data;

	if (mark == SYMBOLS && !symbols)
		qemu_plugin_reset(plugin, again);
	else if (mark == RECEIVER || mark == SENDER || mark == NOBODY)
		thread->role = mark == NOBODY ? 0 : mark;
	else if (mark == START)
		start();
	else if (mark == STOP)
		stop();
}

/* ---- QEMU --------------------------------------------------------------- */

EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* Arguments: symbols=FILE output=FILE */
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "symbols=", 8))
			symbols_path = argv[i] + 8;
		else if (!strncmp(argv[i], "output=", 7))
			output_path = argv[i] + 7;
	}
	if (!symbols_path || !output_path)
		return -1;
	plugin = id;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
