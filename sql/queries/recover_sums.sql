-- What would be written: decisions and money by currency.
SELECT currency, count(*) FILTER (WHERE outcome = 'paid'), coalesce(sum(amount_minor) FILTER (WHERE outcome = 'paid'), 0)::text,
    count(*) FILTER (WHERE outcome = 'declined')
FROM pg_temp.recover_event WHERE NOT on_file GROUP BY currency ORDER BY currency;
