/* Remote: a transport whose libcurl works on a helper's thread.
 *
 * The same as transport.h for an owner that must not wait: what is sent is copied and goes over as
 * an errand, and what comes of it is told inside neap_helper_collect. All functions are for the
 * owner's thread. */
#ifndef NEAP_TRANSPORT_REMOTE_H
#define NEAP_TRANSPORT_REMOTE_H

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "platform/helper.h"
#include "transport/transport.h"

struct neap_remote;
struct neap_parcel; /* one transfer, seen from the owner's side */

/* Starts the helper's thread if need be. As neap_transport_new; NEAP_NO_MEMORY also where no thread
 * can be had, and then with a message. The helper must outlive the remote. */
NEAP_MUST_CHECK enum neap_status neap_remote_new(const struct neap_alloc *alloc,
                                                 struct neap_helper *helper,
                                                 const struct neap_transport_settings *settings,
                                                 struct neap_remote **remote,
                                                 char message[NEAP_MESSAGE_BYTES]);

/* Every parcel was told of or cancelled before. The connections are closed over there, and the
 * memory goes at a later collect, or when the helper is freed. NULL is harmless. */
void neap_remote_free(struct neap_remote *remote);

/* From now on responses are made of what is on this shelf of the owner's thread, and go there; it
 * must outlive them. */
void neap_remote_use_shelf(struct neap_remote *remote, struct neap_response_shelf *shelf);

/* In a forked child: forgets the parent's connections, see neap_transport_forsake. */
void neap_remote_forsake(struct neap_remote *remote);

/* The request, its body included, is copied. NEAP_NO_MEMORY. On success `done` will be called
 * exactly once, unless the parcel is cancelled. The helper is told of it soon, see
 * neap_helper_post_soon. */
NEAP_MUST_CHECK enum neap_status neap_remote_send(struct neap_remote *remote,
                                                  const struct neap_request *request,
                                                  const struct neap_limits *limits,
                                                  neap_transfer_done *done, void *context,
                                                  struct neap_parcel **parcel);

/* Ends it without telling. True if it is certain that the server has processed nothing of it: no
 * byte of the request was handed to a connection, and none will be. */
bool neap_remote_cancel(struct neap_remote *remote, struct neap_parcel *parcel);

void neap_remote_read(const struct neap_remote *remote, struct neap_transport_stats *stats);

#endif
