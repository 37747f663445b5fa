// SPDX-License-Identifier: GPL-2.0
/* The sending hardware: turns a posted job into frames, cut and checksummed as
 * its offloads ask, and offers them to the peer one by one.
 */
#include <linux/tcp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>

#include "dmnic.h"

static struct dmnic_cursor dmnic_job_cursor(const struct dmnic_tx_mem *mem,
					    const struct dmnic_tx_job *job)
{
	return (struct dmnic_cursor) {
		.desc = mem->desc,
		.mask = mem->mask,
		.idx = mem->clean,
		.end = mem->clean + job->descs,
	};
}

/* Makes the headers of a segment from those of the whole: all fields that
 * depend on length or position, then the checksums.
 */
static int dmnic_segment_headers(struct dmnic_frame *frame,
				 const struct dmnic_tx_job *job,
				 const struct dmnic_segment *at, bool last)
{
	struct tcphdr *tcp = (struct tcphdr *)(frame->head + job->l4_off);
	struct ipv6hdr *ip6 = (struct ipv6hdr *)(frame->head + job->l3_off);
	struct iphdr *ip = (struct iphdr *)(frame->head + job->l3_off);
	u32 l4_len = frame->len - job->l4_off;
	__wsum sum;
	int err;

	be32_add_cpu(&tcp->seq, at->sent);
	if (at->frames)
		tcp->cwr = 0;
	if (!last) {
		tcp->fin = 0;
		tcp->psh = 0;
	}
	tcp->check = 0;
	err = dmnic_frame_l4_sum(frame, job->l4_off, &sum);
	if (err)
		return err;

	if (ip->version == 4) {
		ip->tot_len = htons(frame->len - job->l3_off);
		be16_add_cpu(&ip->id, at->frames);
		ip->check = 0;
		ip->check = ip_fast_csum(ip, ip->ihl);
		tcp->check = csum_tcpudp_magic(ip->saddr, ip->daddr, l4_len,
					       IPPROTO_TCP, sum);
	} else {
		ip6->payload_len = htons(frame->len - job->l3_off -
					 sizeof(*ip6));
		tcp->check = csum_ipv6_magic(&ip6->saddr, &ip6->daddr, l4_len,
					     IPPROTO_TCP, sum);
	}
	frame->csum_at = job->l4_off;
	return 0;
}

/* Cuts the next segment off a TSO job. */
static int dmnic_wire_segment(const struct dmnic_tx_mem *mem,
			      const struct dmnic_tx_job *job,
			      const struct dmnic_segment *at,
			      struct dmnic_frame *frame)
{
	struct dmnic_cursor headers = dmnic_job_cursor(mem, job);
	u32 left = job->len - job->header_len - at->sent;
	u32 payload = min_t(u32, left, job->mss);
	int err;

	frame->head_len = job->header_len;
	frame->len = job->header_len + payload;
	frame->body = at->body;
	err = dmnic_dma_read(frame->head, &headers, job->header_len);
	if (err)
		return err;
	return dmnic_segment_headers(frame, job, at, payload == left);
}

/* Makes a job that needs no cutting a frame. */
static int dmnic_wire_whole(const struct dmnic_tx_mem *mem,
			    const struct dmnic_tx_job *job,
			    struct dmnic_frame *frame)
{
	__sum16 *check;
	__wsum sum;
	int err;

	frame->len = job->len;
	frame->head_len = min_t(u32, job->len, DMNIC_HEAD_MAX);
	frame->body = dmnic_job_cursor(mem, job);
	err = dmnic_dma_read(frame->head, &frame->body, frame->head_len);
	if (err || !job->csum)
		return err;

	/* The field holds the pseudo header's sum by now. */
	err = dmnic_frame_l4_sum(frame, job->csum_start, &sum);
	if (err)
		return err;
	check = (__sum16 *)(frame->head + job->csum_start + job->csum_off);
	*check = csum_fold(sum) ?: CSUM_MANGLED_0;
	return 0;
}

static void dmnic_wire_count(struct dmnic_txq *txq,
			     const struct dmnic_frame *frame, bool tso)
{
	u64_stats_update_begin(&txq->stats.sync);
	u64_stats_inc(&txq->stats.packets);
	u64_stats_add(&txq->stats.bytes, frame->len);
	if (tso)
		u64_stats_inc(&txq->stats.tso_packets);
	u64_stats_update_end(&txq->stats.sync);
}

static void dmnic_wire_count_job(struct dmnic_txq *txq,
				 const struct dmnic_tx_job *job, bool refused)
{
	u64_stats_update_begin(&txq->stats.sync);
	if (refused)
		u64_stats_inc(&txq->stats.dma_refused);
	else
		u64_stats_add(&txq->stats.niov_bytes, job->niov_bytes);
	u64_stats_update_end(&txq->stats.sync);
}

/* Sends one frame. Returns 1 if it was the job's last, 0 if there are more,
 * -EAGAIN if the peer must be asked again, other errors if the job is not
 * what its descriptors say.
 */
static int dmnic_wire_frame(struct dmnic_txq *txq, struct dmnic_port *peer,
			    const struct dmnic_tx_job *job,
			    struct dmnic_frame *frame)
{
	struct dmnic_segment *at = &txq->next;
	u32 payload;
	int err;

	frame->csum_at = 0;
	if (job->mss)
		err = dmnic_wire_segment(&txq->mem, job, at, frame);
	else
		err = dmnic_wire_whole(&txq->mem, job, frame);
	if (err)
		return err;
	if (peer && !dmnic_ingress(peer, frame))
		return -EAGAIN;

	dmnic_wire_count(txq, frame, job->mss && !at->frames);
	payload = job->mss ? frame->len - job->header_len : 0;
	at->sent += payload;
	at->frames++;
	if (!job->mss || at->sent == job->len - job->header_len)
		return 1;
	return dmnic_dma_skip(&at->body, payload);
}

/* Sends frames of the oldest job, at most *@budget. Returns true when the job
 * is done with, false to be called again.
 */
bool dmnic_wire_send(struct dmnic_txq *txq, int *budget)
{
	struct dmnic_tx_mem *mem = &txq->mem;
	const struct dmnic_tx_job *job = &mem->job[mem->clean & mem->mask];
	struct dmnic_segment *at = &txq->next;
	struct dmnic_port *peer;
	struct dmnic_frame frame;
	int last = 0;

	if (!at->frames && !at->sent) {
		at->body = dmnic_job_cursor(mem, job);
		last = dmnic_fault(&txq->port->faults.tx_dma) ? -EFAULT :
		       dmnic_dma_skip(&at->body, job->header_len);
	}
	frame.queue = -1;
	rcu_read_lock();
	peer = rcu_dereference(txq->port->peer);
	while (!last && *budget > 0) {
		last = dmnic_wire_frame(txq, peer, job, &frame);
		--*budget;
	}
	if (peer)
		dmnic_ingress_pause(peer, &frame);
	rcu_read_unlock();
	if (last == -EAGAIN)
		*budget = 0;
	if (!last || last == -EAGAIN)
		return false;
	dmnic_wire_count_job(txq, job, last < 0);
	memset(at, 0, sizeof(*at));
	return true;
}
