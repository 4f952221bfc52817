"""The study of triggers: at which evaluation should the cooldown start?"""
