// SPDX-License-Identifier: GPL-2.0
/* Generic netlink without a library. */
#define _GNU_SOURCE
#include <linux/genetlink.h>
#include <sys/time.h>

#include "uapi.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static uint32_t sequence;

int netlink_open_to(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct timeval patience = { .tv_sec = 60 };
	int one = 1;

	KTAP_NEED(fd >= 0);
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

int netlink_open(void)
{
	return netlink_open_to(NETLINK_GENERIC);
}

void request_begin(struct request *r, uint16_t family, uint8_t command)
{
	struct genlmsghdr genl = { .cmd = command, .version = 1 };

	memset(r, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	r->head.nlmsg_type = family;
	r->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	r->head.nlmsg_seq = ++sequence;
	memcpy(r->bytes + NLMSG_HDRLEN, &genl, sizeof(genl));
	r->len = NLMSG_HDRLEN + GENL_HDRLEN;
}

void request_attr(struct request *r, uint16_t type, const void *data,
		  size_t len)
{
	struct nlattr attr = { .nla_len = NLA_HDRLEN + len, .nla_type = type };
	size_t space = NLA_ALIGN(attr.nla_len);

	KTAP_NEED(r->len + space <= sizeof(r->bytes));
	memset(r->bytes + r->len, 0, space);
	memcpy(r->bytes + r->len, &attr, sizeof(attr));
	memcpy(r->bytes + r->len + NLA_HDRLEN, data, len);
	r->len += space;
}

void request_u32(struct request *r, uint16_t type, uint32_t value)
{
	request_attr(r, type, &value, sizeof(value));
}

size_t request_nest(struct request *r, uint16_t type)
{
	size_t at = r->len;

	request_attr(r, type | NLA_F_NESTED, "", 0);
	return at;
}

void request_end(struct request *r, size_t nest)
{
	uint16_t len = r->len - nest;

	memcpy(r->bytes + nest, &len, sizeof(len));
}

void request_send(int fd, const struct request *r)
{
	KTAP_CHECK(send(fd, r->bytes, r->len, 0) == (ssize_t)r->len);
}

/* The next attribute of @type from @attr on. */
static const struct nlattr *find(const void *attrs, size_t len, uint16_t type)
{
	const unsigned char *at = attrs, *end = at + len;
	const struct nlattr *attr;

	for (; end - at >= NLA_HDRLEN; at += NLA_ALIGN(attr->nla_len)) {
		attr = (const struct nlattr *)at;
		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			return NULL;
		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
	}
	return NULL;
}

static void read_error(const struct nlmsghdr *head, struct reply *reply)
{
	const struct nlmsgerr *error = NLMSG_DATA(head);
	const struct nlattr *text;
	size_t skip = sizeof(*error);

	reply->error = -error->error;
	if (!(head->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		skip += error->msg.nlmsg_len - NLMSG_HDRLEN;
	text = find((const char *)error + skip,
		    NLMSG_PAYLOAD(head, 0) - skip, NLMSGERR_ATTR_MSG);
	if (text)
		snprintf(reply->message, sizeof(reply->message), "%s",
			 (const char *)text + NLA_HDRLEN);
}

static void read_answer(const struct nlmsghdr *head, struct reply *reply)
{
	reply->len = NLMSG_PAYLOAD(head, GENL_HDRLEN);
	if (reply->len > sizeof(reply->attrs))
		reply->len = sizeof(reply->attrs);
	memcpy(reply->attrs, (const char *)NLMSG_DATA(head) + GENL_HDRLEN,
	       reply->len);
}

/* Returns false after the ACK or error of the request with that number. */
static bool read_one(int fd, uint32_t seq, struct reply *reply)
{
	union {
		struct nlmsghdr head;
		unsigned char bytes[65536];
	} buffer;
	const struct nlmsghdr *head = &buffer.head;
	ssize_t n = recv(fd, &buffer, sizeof(buffer), 0);
	bool more = true;

	KTAP_NEED(n > 0);
	for (; NLMSG_OK(head, n); head = NLMSG_NEXT(head, n)) {
		if (head->nlmsg_seq != seq)
			continue;
		if (head->nlmsg_type == NLMSG_ERROR) {
			read_error(head, reply);
			more = false;
		} else {
			read_answer(head, reply);
		}
	}
	return more;
}

void request_ask(int fd, struct request *r, struct reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	r->head.nlmsg_len = r->len;
	request_send(fd, r);
	while (read_one(fd, r->head.nlmsg_seq, reply))
		;
}

uint32_t reply_u32(const struct reply *reply, uint16_t type)
{
	const struct nlattr *attr = find(reply->attrs, reply->len, type);
	uint32_t value = 0;

	if (attr && attr->nla_len == NLA_HDRLEN + sizeof(value))
		memcpy(&value, (const char *)attr + NLA_HDRLEN, sizeof(value));
	return value;
}

uint16_t netlink_family(int fd, const char *name)
{
	struct request r;
	struct reply reply;
	const struct nlattr *id;
	uint16_t family;

	request_begin(&r, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	request_attr(&r, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	request_ask(fd, &r, &reply);
	id = find(reply.attrs, reply.len, CTRL_ATTR_FAMILY_ID);
	KTAP_NEED(!reply.error && id);
	memcpy(&family, (const char *)id + NLA_HDRLEN, sizeof(family));
	return family;
}
