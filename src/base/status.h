/* What a function of the core answers when it can fail.
 *
 * Results leave through pointers and stay untouched unless NEAP_OK is returned. */
#ifndef NEAP_BASE_STATUS_H
#define NEAP_BASE_STATUS_H

enum neap_status {
    NEAP_OK = 0,
    NEAP_NO_MEMORY, /* an allocation failed; nothing has changed */
    NEAP_INVALID,   /* an argument or an input text is malformed; nothing has changed */
    NEAP_NOT_FOUND, /* what was asked for is not there */
    NEAP_SYSTEM     /* the operating system or a library refused */
};

#endif
