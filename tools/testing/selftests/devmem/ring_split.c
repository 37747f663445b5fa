// SPDX-License-Identifier: GPL-2.0
/* ring_split - read or set a device's header split, as newer ethtools do
 *
 *   ring_split DEV                prints on, off, auto or unsupported
 *   ring_split DEV on|off|auto    prints the kernel's reason if it refuses
 *   ring_split DEV thresh         prints hds-thresh, or unsupported
 *   ring_split DEV thresh=BYTES   sets it
 */
#include <err.h>
#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ETHTOOL_A_RINGS_*, which older headers lack */
#define TCP_DATA_SPLIT	11
#define HDS_THRESH	17

static const char *const words[] = { "auto", "off", "on" };

struct message {
	struct nlmsghdr nl;
	struct genlmsghdr genl;
	char attrs[8192];
};

static void start(struct message *m, int family, int command)
{
	memset(m, 0, sizeof(*m));
	m->nl.nlmsg_len = NLMSG_LENGTH(sizeof(m->genl));
	m->nl.nlmsg_type = family;
	m->nl.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	m->genl.cmd = command;
	m->genl.version = 1;
}

static struct nlattr *add(struct message *m, int type, const void *data,
			  size_t len)
{
	struct nlattr *a = (void *)((char *)m + NLMSG_ALIGN(m->nl.nlmsg_len));

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	m->nl.nlmsg_len = (char *)a - (char *)m + NLA_ALIGN(a->nla_len);
	return a;
}

static void add_device(struct message *m, const char *name)
{
	struct nlattr *header;

	header = add(m, ETHTOOL_A_RINGS_HEADER | NLA_F_NESTED, NULL, 0);
	add(m, ETHTOOL_A_HEADER_DEV_NAME, name, strlen(name) + 1);
	header->nla_len = (char *)m + m->nl.nlmsg_len - (char *)header;
}

static const void *find(const void *attrs, long len, int type)
{
	const struct nlattr *a = attrs;

	while (len >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN &&
	       a->nla_len <= len) {
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return (const char *)a + NLA_HDRLEN;
		len -= NLA_ALIGN(a->nla_len);
		a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len));
	}
	return NULL;
}

static void explain(const struct nlmsghdr *nl, const struct nlmsgerr *e)
{
	const char *attrs = (const char *)(e + 1), *text = NULL;

	if (!(nl->nlmsg_flags & NLM_F_CAPPED))
		attrs += NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	if (nl->nlmsg_flags & NLM_F_ACK_TLVS)
		text = find(attrs, (const char *)nl + nl->nlmsg_len - attrs,
			    NLMSGERR_ATTR_MSG);
	fprintf(stderr, "ring_split: %s: %s\n", text ? text : "refused",
		strerror(-e->error));
}

/* Sends @m and leaves in it the reply, if there is one beside the ack. */
static int ask(int fd, struct message *m)
{
	static struct {
		union {
			struct nlmsghdr nl;
			char room[32768];
		};
	} in;
	struct nlmsghdr *nl;
	int len;

	if (send(fd, m, m->nl.nlmsg_len, 0) < 0)
		err(2, "send");
	memset(m, 0, sizeof(*m));
	for (;;) {
		len = recv(fd, &in, sizeof(in), 0);
		if (len < 0)
			err(2, "recv");
		for (nl = &in.nl; NLMSG_OK(nl, (unsigned int)len);
		     nl = NLMSG_NEXT(nl, len)) {
			struct nlmsgerr *e = NLMSG_DATA(nl);

			if (nl->nlmsg_type == NLMSG_ERROR) {
				if (e->error)
					explain(nl, e);
				return e->error;
			}
			if (nl->nlmsg_len <= sizeof(*m))
				memcpy(m, nl, nl->nlmsg_len);
		}
	}
}

static const void *attr(const struct message *m, int type)
{
	return find(m->attrs, (long)m->nl.nlmsg_len -
		    (long)offsetof(struct message, attrs), type);
}

static int ethtool_family(int fd)
{
	struct message m;
	const uint16_t *id;

	start(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	add(&m, CTRL_ATTR_FAMILY_NAME, ETHTOOL_GENL_NAME,
	    sizeof(ETHTOOL_GENL_NAME));
	if (ask(fd, &m))
		exit(1);
	id = attr(&m, CTRL_ATTR_FAMILY_ID);
	if (!id)
		errx(2, "no ethtool family");
	return *id;
}

static int get(int fd, int family, const char *dev, struct message *m)
{
	start(m, family, ETHTOOL_MSG_RINGS_GET);
	add_device(m, dev);
	return ask(fd, m) ? 1 : 0;
}

static int show_split(int fd, int family, const char *dev)
{
	struct message m;
	const uint8_t *split;

	if (get(fd, family, dev, &m))
		return 1;
	split = attr(&m, TCP_DATA_SPLIT);
	puts(split && *split < 3 ? words[*split] : "unsupported");
	return 0;
}

static int show_thresh(int fd, int family, const char *dev)
{
	struct message m;
	const uint32_t *thresh;

	if (get(fd, family, dev, &m))
		return 1;
	thresh = attr(&m, HDS_THRESH);
	if (thresh)
		printf("%u\n", *thresh);
	else
		puts("unsupported");
	return 0;
}

static void add_split(struct message *m, const char *word)
{
	uint8_t value;

	for (value = 0; value < 3 && strcmp(word, words[value]); value++)
		;
	if (value == 3)
		errx(2, "on, off, auto or thresh, not %s", word);
	add(m, TCP_DATA_SPLIT, &value, sizeof(value));
}

static int set(int fd, int family, const char *dev, const char *word)
{
	struct message m;
	uint32_t thresh;

	start(&m, family, ETHTOOL_MSG_RINGS_SET);
	add_device(&m, dev);
	if (sscanf(word, "thresh=%u", &thresh) == 1)
		add(&m, HDS_THRESH, &thresh, sizeof(thresh));
	else
		add_split(&m, word);
	return ask(fd, &m) ? 1 : 0;
}

int main(int argc, char **argv)
{
	int fd, one = 1, family;

	if (argc < 2 || argc > 3)
		errx(2, "usage: ring_split DEV [on|off|auto|thresh[=BYTES]]");
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	if (fd < 0)
		err(2, "socket");
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));

	family = ethtool_family(fd);
	if (argc == 2)
		return show_split(fd, family, argv[1]);
	if (!strcmp(argv[2], "thresh"))
		return show_thresh(fd, family, argv[1]);
	return set(fd, family, argv[1], argv[2]);
}
