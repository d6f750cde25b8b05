#include "client/scrape.h"

#include "base/version.h"
#include "client/scrape_families.h"

static enum neap_status read_breakers(struct neap_scraped *scraped, const struct neap_alloc *alloc,
                                      struct neap_client *client, int64_t now_ns)
{
    if (client->breaker) {
        scraped->has_breaker = true;
        neap_breaker_read(client->breaker, &client->policy.pipeline.breaker, now_ns,
                          &scraped->breaker);
    }
    if (!neap_client_has_keys(client))
        return NEAP_OK;
    enum neap_status status =
        neap_breaker_list_read(&scraped->keys, alloc, client, NEAP_BREAKERS_NAMED, now_ns);
    scraped->has_keys = status == NEAP_OK;
    return status == NEAP_NO_MEMORY ? status : NEAP_OK; /* without them if they cannot be read */
}

static bool has_region_of(const struct neap_scraped *earlier, size_t count,
                          const struct neap_client *client)
{
    for (size_t i = 0; i < count; i++)
        if (earlier[i].client->cells.region == client->cells.region)
            return true;
    return false;
}

static void name_client(struct neap_scraped *scraped, const struct neap_client *client,
                        const struct neap_label *process)
{
    scraped->client = client;
    scraped->label[scraped->label_count++] = neap_label("client", client->policy.name);
    if (process->name && !client->cells.region)
        scraped->label[scraped->label_count++] = *process;
}

/* What a process that died had of the client must not be counted until somebody makes a call. */
static enum neap_status read_client(struct neap_scraped *scraped, const struct neap_alloc *alloc,
                                    struct neap_client *client)
{
    int64_t now_ns = neap_loop_update(client->engine->loop);
    neap_cells_reap(&client->cells, now_ns);
    if (!neap_engine_is_inherited(client->engine))
        neap_client_publish_pool(client);
    scraped->sums = neap_board_add_up(client->board);
    if (scraped->is_first_of_region)
        neap_region_read(client->cells.region, &scraped->region);
    return read_breakers(scraped, alloc, client, now_ns);
}

static enum neap_status read_all(const struct neap_scrape *scrape, const struct neap_alloc *alloc,
                                 struct neap_scraped *scraped)
{
    enum neap_status status = NEAP_OK;
    for (size_t i = 0; i < scrape->count; i++) {
        struct neap_client *client = scrape->clients[i];
        name_client(&scraped[i], client, &scrape->process);
        scraped[i].keys.alloc = alloc;
        scraped[i].is_first_of_region = client->cells.region && !has_region_of(scraped, i, client);
        if (status == NEAP_OK)
            status = read_client(&scraped[i], alloc, client);
    }
    return status;
}

static void write_build(struct neap_exposition *exposition)
{
    static const struct neap_family build = {"neap_build_info", NEAP_METRIC_GAUGE,
                                             "The version of neap; always 1."};
    const struct neap_label version = neap_label("version", NEAP_VERSION);
    neap_exposition_family(exposition, &build);
    neap_exposition_count(exposition, &version, 1, 1);
}

static enum neap_status write_all(struct neap_buffer *text, const struct neap_scraped *scraped,
                                  size_t count)
{
    struct neap_exposition exposition;
    neap_exposition_begin(&exposition, text);
    write_build(&exposition);
    for (size_t i = 0; i < neap_client_family_count; i++) {
        neap_exposition_family(&exposition, &neap_client_families[i].family);
        for (size_t j = 0; j < count; j++)
            neap_client_families[i].write(&exposition, &scraped[j]);
    }
    return neap_exposition_end(&exposition);
}

enum neap_status neap_scrape_write(const struct neap_scrape *scrape, const struct neap_alloc *alloc,
                                   struct neap_buffer *text)
{
    if (scrape->count == 0)
        return write_all(text, NULL, 0);
    struct neap_scraped *scraped = neap_alloc_array(alloc, scrape->count, sizeof *scraped);
    if (!scraped)
        return NEAP_NO_MEMORY;
    enum neap_status status = read_all(scrape, alloc, scraped);
    if (status == NEAP_OK)
        status = write_all(text, scraped, scrape->count);
    for (size_t i = 0; i < scrape->count; i++)
        neap_breaker_list_deinit(&scraped[i].keys);
    neap_free(alloc, scraped);
    return status;
}
